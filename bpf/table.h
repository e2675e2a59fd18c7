/* The unwind table of one module, as a worker writes it into a memfd and the kernel's walker reads it: data
 * only.
 *
 * A table is a flat array of 32-bit words, cut into chunks of 8 KiB: one chunk is one value of an inner
 * array map (a small library has one). Word w is in chunk w >> TABLE_CHUNK_SHIFT. The file is exactly `words`
 * words long, a multiple of a chunk.
 *
 *   words 0 …      struct table_header
 *   pages_at …     page index: page_count + 1 words; entry p is the word address of the first row of
 *                  page first_page + p, the last entry is the end of the last page's rows
 *   rules_at …     struct unwind_rule[rule_count], rules_at is a multiple of 4: no rule straddles a chunk
 *   rows           one word a row: (offset in page) << 20 | rule number, ascending within a page
 *
 * Pages are 1 KiB of FILE OFFSET (not of virtual address): their rows, 16 of libLLVM's, lie in one cache line
 * or two. Every page's first row has offset 0 (a gap row where no FDE covers it), so a search never leaves
 * its page; a page's rows lie inside one chunk (where they would not, the chunk's rest is filled with copies
 * of the last row of the page before). A page has at least one row. Rule 0 is always the gap (UNWIND_GAP).
 * Neighbouring rows of a page with the same rule are merged. A table without pages stands for a module that
 * has no unwind information at all.
 */
#ifndef KILN_BPF_TABLE_H
#define KILN_BPF_TABLE_H

#include <linux/types.h>

#define TABLE_MAGIC	    0x314e4c4bu /* "KLN1" */
#define TABLE_CHUNK_SHIFT   11		/* words a chunk, log2 */
#define TABLE_CHUNK_WORDS   (1u << TABLE_CHUNK_SHIFT)
#define TABLE_CHUNK_BYTES   (TABLE_CHUNK_WORDS * 4)
#define TABLE_PAGE_SHIFT    10
#define TABLE_ROW_RULE_BITS 20
#define TABLE_RULES_MAX	    (1u << TABLE_ROW_RULE_BITS)

struct table_header {
	__u32 magic;
	__u32 words;
	__u32 first_page;
	__u32 page_count;
	__u32 pages_at;
	__u32 rules_at;
	__u32 rule_count;
	__u32 row_count; /* for people: rows before padding */
};

#define TABLE_ROW(offset, rule) ((__u32)(offset) << TABLE_ROW_RULE_BITS | (__u32)(rule))
#define TABLE_ROW_OFFSET(row)	((row) >> TABLE_ROW_RULE_BITS)
#define TABLE_ROW_RULE(row)	((row) & (TABLE_RULES_MAX - 1))

enum unwind_cfa {
	UNWIND_GAP,  /* no FDE covers this: frame pointer where that is plausible, else STACK_NO_RULE */
	UNWIND_ROOT, /* the return address is undefined: the stack is complete here */
	UNWIND_UNSUPPORTED, /* a rule that the walker does not know: STACK_NO_RULE */
	UNWIND_CFA_RSP,	    /* CFA = rsp + cfa_offset */
	UNWIND_CFA_RBP,	    /* CFA = rbp + cfa_offset */
	UNWIND_SIGNAL, /* what was interrupted stands in the ucontext: its registers (gregs, r8 first, in the
			  kernel's order of struct sigcontext) begin at rsp + cfa_offset */
	UNWIND_FULL,   /* all that is rare: struct unwind_rule says how */
	UNWIND_CFA_KINDS,
};

enum unwind_rbp {
	UNWIND_RBP_SAME,   /* the caller's rbp is the callee's */
	UNWIND_RBP_AT_CFA, /* saved at CFA + rbp_offset */
	UNWIND_RBP_UNDEFINED,
	UNWIND_RBP_IN_REGISTER, /* FULL: in the register whose number is rbp_offset */
	UNWIND_RBP_AT_RBP,	/* FULL: saved at the callee's rbp + rbp_offset (realigned stacks) */
	UNWIND_RBP_AT_RSP,	/* FULL: saved at the callee's rsp + rbp_offset (beside a CFA that is read) */
	UNWIND_RBP_KINDS,
};

enum unwind_ra {
	UNWIND_RA_AT_CFA,      /* at CFA - 8 */
	UNWIND_RA_IN_REGISTER, /* FULL: in the register whose number is extra (vfork) */
	UNWIND_RA_AT_OFFSET,   /* FULL: at CFA + extra (longjmp) */
	UNWIND_RA_KINDS,
};

/* flags of FULL: without UNWIND_DEREF the CFA is base + cfa_offset, with it *(base + cfa_offset) + extra;
 * with UNWIND_INDEXED, too, 8 * the register in the high four bits is added to the address that is read. */
#define UNWIND_DEREF	   1
#define UNWIND_INDEXED	   2
#define UNWIND_INDEX_SHIFT 4

/* Of the plain kinds, in modules where a frame is found by rbx that is no top frame (the dynamic linker's
 * _dl_runtime_resolve): the caller's rbx is at CFA + extra or, without extra, as before. */
#define UNWIND_TRACKS_RBX 4

#define UNWIND_REGISTERS 16
/* Registers by their DWARF numbers, 0 to 15. Others than rsp and rbp are known in the top frame, and in one
 * that a signal interrupted; rbx, too, where it was tracked: elsewhere a rule that needs one ends as
 * STACK_BAD_CFA. */
struct unwind_rule {
	__u8 cfa; /* enum unwind_cfa */
	__u8 rbp; /* enum unwind_rbp */
	/* FULL only; 0 in every other kind: */
	__u8 ra; /* enum unwind_ra */
	__u8 sp; /* 0: the caller's rsp is the CFA; else 1 + the register that holds it (longjmp) */
	__s32 cfa_offset;
	__s32 rbp_offset;
	__u8 base;   /* FULL only: register */
	__u8 flags;  /* FULL: UNWIND_DEREF, UNWIND_INDEXED; else 0 or UNWIND_TRACKS_RBX */
	__s16 extra; /* see flags and enum unwind_ra: at most one of them uses it */
};

#endif
