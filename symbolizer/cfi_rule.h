/* Turns the frame that libdw computed for an address into a rule of bpf/table.h.
 *
 * What is plain becomes plain: UNWIND_FULL, which costs the walker more, is for what no other kind can say.
 * What no kind can say becomes UNWIND_UNSUPPORTED. The linker's PLT expression, CFA = rsp + 8 +
 * ((rip & 15) >= N ? 8 : 0), is a plain rule at each address: cfi_rule_at() evaluates it.
 * Ownership: none, plain values. Errors: none.
 */
#ifndef KILN_SYMBOLIZER_CFI_RULE_H
#define KILN_SYMBOLIZER_CFI_RULE_H

#include "bpf/table.h"

#include <elfutils/libdw.h>
#include <stdbool.h>
#include <stdint.h>

struct cfi_rule {
	struct unwind_rule rule;
	bool is_plt; /* rule is that of the low addresses of a slot; the high ones' CFA is 8 higher */
	uint8_t plt_threshold; /* N */
};

struct cfi_rule cfi_rule_from_frame(Dwarf_Frame *frame);

/* Whether its CFA is found by rbx; then the rules of the functions that it calls should say where its rbx is.
 */
bool cfi_rule_needs_rbx(const struct cfi_rule *rule);
void cfi_rule_track_rbx(Dwarf_Frame *frame, struct cfi_rule *rule);

/* The rule at an address, and where it ends at the latest (of a PLT rule: inside of the slot). */
struct unwind_rule cfi_rule_at(const struct cfi_rule *rule, uint64_t address, uint64_t *ret_end);

#endif
