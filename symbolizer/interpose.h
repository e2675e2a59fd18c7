/* open(2) for the whole program: libdw opens .dwo files with it, at paths that the file names.
 *
 * It passes through, but for paths that end in ".dwo" while somebody has asked for these: they go there. In
 * the worker's sandbox open(2) itself is refused.
 */
#ifndef KILN_SYMBOLIZER_INTERPOSE_H
#define KILN_SYMBOLIZER_INTERPOSE_H

/* open_dwo: returns an fd, which the caller closes, or -1. NULL: pass through. */
void interpose_set(int (*open_dwo)(void *arg, const char *path), void *arg);

#endif
