/* The probe's workers in real processes that crash, hang, lie and babble: what a worker does is in the id of
 * the module whose table it is asked for.
 *
 * Use: puppets_set_up() and puppets_tear_down() as a test's own, with the ops that it wants; the callbacks
 * below note what came.
 */
#ifndef KILN_TESTS_SUPPORT_PUPPETS_H
#define KILN_TESTS_SUPPORT_PUPPETS_H

#include "base/loop.h"
#include "bpf/workers.h"
#include "symbolizer/frame.h"

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* What the worker of the test does when it is asked for the table of a module with this id. */
enum puppet {
	GOOD = 20,
	CRASHES,
	CRASHES_ONCE,
	HANGS,
	ANSWERS_FOR_ANOTHER,
	ANSWERS_TOO_SHORT,
	CLOSES_AND_LIVES_ON,
	SAYS_WHY_WITH_ESCAPES,
	OK_WITHOUT_TABLE,
	BABBLES,
	WAITS_FOR_TWO_MORE, /* and so do these two */
	WAITS_FOR_TWO_MORE_B,
	WAITS_FOR_TWO_MORE_C,
	WAITS, /* until the test says so */
	SAYS_SAME_UNASKED,
	SAYS_LONG_BUILD_ID,
	PROPOSES,
	PROPOSES_MOST,
	PROPOSES_AND_CRASHES_ONCE,
	PROPOSES_GO,
	PROPOSES_NOTHING,
	PROPOSES_FOR_ANOTHER,
	PROPOSES_WITHOUT_HEADER,
	PROPOSES_TOO_SHORT,
	PROPOSES_TOO_LONG,
	PROPOSES_TOO_MANY,
	PROPOSES_TWICE,
	PROPOSES_WITHOUT_KIND,
	PROPOSES_UNKNOWN_KIND,
	PROPOSES_KIND_OF_WRAPPER,
	PROPOSES_BOTH_FLAGS,
	PROPOSES_UNKNOWN_FLAG,
	PROPOSES_WITHOUT_NAME,
	PROPOSES_ENDLESS,
	PROPOSES_AFTER_TABLE,
	MODULES,
};

/* Shared with the workers, who have nothing else. */
struct puppets_shared {
	unsigned builds[MODULES], offers[MODULES], names_starts, names_modules;
	unsigned together;
	bool is_released;
	bool names_babbles, names_proposes, names_die;
};
extern struct puppets_shared *puppets_shared;

struct puppets {
	struct loop *loop;
	struct loop_source *timer;
	struct workers *workers;
	int null;
	struct {
		unsigned answers, tables, hooks, number;
		uint32_t twin;
		uint64_t heat;
		char why[128];
	} modules[MODULES];
	bool refuses_to_share;
	unsigned answers, sockets, pids_changes, given_up;
	const char *given_up_what;
	struct {
		struct hooks_message message;
		struct hook_proposal proposals[HOOK_PROPOSALS_MAX];
	} hooks; /* the last that came */
	uint32_t generation;
	time_t give_up;
};

void puppets_on_table(void *arg, uint32_t module, int fd, const char *why);
bool puppets_on_share(void *arg, uint32_t module, uint32_t twin);
uint64_t puppets_read_heat(void *arg, uint32_t module);
void puppets_on_hooks(void *arg, uint32_t module, const struct hooks_message *message);
void puppets_on_names_socket(void *arg, int fd, uint32_t generation);
void puppets_on_pids(void *arg);
void puppets_on_given_up(void *arg, const char *what);

void puppets_map_shared(void); /* once, before all */
int puppets_set_up(void **state, const struct workers_ops *ops);
int puppets_tear_down(void **state);
void puppets_wait_a_turn(struct puppets *fixture);
void puppets_wait_for_answers(struct puppets *fixture, unsigned count);
/* A module that wants a table; with puppets_add_only() nothing is built yet. */
void puppets_add(struct puppets *fixture, uint32_t module, uint64_t size_bytes);
void puppets_add_only(struct puppets *fixture, uint32_t module, uint64_t size_bytes);
void puppets_check_good(struct puppets *fixture, uint32_t module);
/* A module that costs two workers is set aside; the others get their tables, whatever order they come in. */
void puppets_check_set_aside(struct puppets *fixture, uint32_t module);

/* ---- puppet.c ---- */
int puppet_main(int probe_fd, int kiln_fd);

#endif
