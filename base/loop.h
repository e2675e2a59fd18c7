/* One event loop over epoll: file descriptors, timers and signals call back; nothing blocks in a callback.
 *
 * Ownership: the loop does not own the fds of loop_add_fd(); it owns timers and the signalfd.
 * Invariants: callbacks run in the thread of loop_run(). A callback may add and remove any source,
 * itself included.
 */
#ifndef KILN_BASE_LOOP_H
#define KILN_BASE_LOOP_H

#include "base/error.h"

#include <signal.h>
#include <stdint.h>

struct loop;
struct loop_source;

struct error *loop_create(struct loop **ret);
void loop_destroy(struct loop *loop); /* NULL accepted */

/* events: EPOLLIN, EPOLLOUT …; the callback gets those that fired. */
struct error *loop_add_fd(struct loop *loop, int fd, uint32_t events,
			  void (*callback)(void *arg, uint32_t events), void *arg, struct loop_source **ret);
struct error *loop_change_fd(struct loop_source *source, uint32_t events);
/* First call after first_ms, then every period_ms (0: once). */
struct error *loop_add_timer(struct loop *loop, unsigned first_ms, unsigned period_ms,
			     void (*callback)(void *arg), void *arg, struct loop_source **ret);
/* Changes the times of a timer; first_ms 0 stops it. */
struct error *loop_set_timer(struct loop_source *timer, unsigned first_ms, unsigned period_ms);
/* Blocks the signals in this process and delivers them here. Once per loop. */
struct error *loop_add_signals(struct loop *loop, const sigset_t *signals,
			       void (*callback)(void *arg, int signal), void *arg);
void loop_remove(struct loop_source *source); /* NULL accepted */

/* Runs until loop_quit(); returns the status that was given to it. */
int loop_run(struct loop *loop);
void loop_quit(struct loop *loop, int status);

#endif
