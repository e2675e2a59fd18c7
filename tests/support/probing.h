/* What the tests of probes share: words for errors, and which kinds of links this kernel has. */
#ifndef KILN_TESTS_SUPPORT_PROBING_H
#define KILN_TESTS_SUPPORT_PROBING_H

#include "base/error.h"
#include "bpf/uprobes.h"

#include <stdbool.h>
#include <stdint.h>

#define NS	    1000000000ull
#define DEADLINE_NS (10 * NS)

uint64_t now_ns(void);
void assert_ok(struct error *error);
/* Takes the error. words: a part of its message. */
void assert_refused(struct error *error, enum error_code code, const char *words);
bool has_sessions(void);
/* Skip the test, and say why. */
void require_root(void);
void require_links(enum uprobe_links links);

#endif
