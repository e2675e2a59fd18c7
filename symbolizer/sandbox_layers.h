/* What the files of the sandbox share (sandbox.c: rights and the order; sandbox_landlock.c,
 * sandbox_seccomp.c: the kernel's filters; sandbox_trial.c: saying what holds). Nobody else includes this. */
#ifndef KILN_SYMBOLIZER_SANDBOX_LAYERS_H
#define KILN_SYMBOLIZER_SANDBOX_LAYERS_H

#include "base/error.h"
#include "base/namespaces.h"

/* Layers that hold, of those that need not. */
struct sandbox_layers {
	const struct namespaces *namespaces;
	int landlock; /* its version, or a negative errno */
};

/* As sandbox_enter(). */
struct error *sandbox_enter_layers(struct sandbox_layers *ret);

/* Landlock: this process opens, makes, removes, executes nothing, and talks to nobody over TCP. Returns the
 * version of the kernel's Landlock, or a negative errno where there is none. Needs no_new_privs. */
int sandbox_restrict_landlock(void);

/* seccomp: what is not on the list fails with EACCES. Errors: the kernel has no such filter. */
struct error *sandbox_restrict_calls(void);

#endif
