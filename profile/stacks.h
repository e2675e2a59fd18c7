/* The frames that were seen, and the trie of their stacks, root first: node → child by frame.
 *
 * A trie node that samples end in has a leaf, which is what is moved when a name arrives and what is waiting
 * ("dirty") for its samples to be added to the sums.
 * Invariants: frames, nodes and leaves are numbered from 1; only a merge (merge.h) removes and renumbers
 * them; a parent's number is smaller than its children's. Adding what is known allocates nothing. Errors: 0
 * or NULL when memory is short; everything stays consistent.
 */
#ifndef KILN_PROFILE_STACKS_H
#define KILN_PROFILE_STACKS_H

#include "base/array.h"
#include "profile/index.h"
#include "profile/profile.h"

#define FRAME_NUMBER_BITS 28
#define FUNCTION_NONE	  UINT32_MAX
/* In the offset of a frame that stands for a whole function, beside the function's number and bits of its
 * site: "somewhere in it". No file is that long; of the kernel it is the other way round: its addresses have
 * the bit, such a frame has not. Nothing depends on that: real frames that look like it keep their own names.
 */
#define FRAME_SOMEWHERE (1ull << 47)
/* Deeper than any record can be (STACK_USER_MAX, a kernel stack, an end); bounds what a hostile snapshot
 * costs. */
#define STACK_DEPTH_MAX 8192

/* Made by heap.c: the root of what has no stack. No address of a user's code has all its bits set. */
#define FRAME_NOT_TAKEN FRAME(MODULE_UNKNOWN, FRAME_OFFSET_MASK)

enum frame_state {
	FRAME_NEW,   /* nobody has asked for its name */
	FRAME_ASKED, /* asked, no answer yet */
	FRAME_NAMED,
};

struct frame_entry {
	uint64_t word;
	uint64_t self;	  /* samples whose leaf it is, as far as they are settled */
	const char *file; /* interned; NULL unknown */
	uint32_t line;
	uint32_t function; /* FUNCTION_NONE: not named, and never shown yet */
	uint32_t site;	   /* that the function is inlined through (inlines.h); 0: it is not */
	uint32_t nodes;	   /* first trie node with this frame */
	uint32_t next_of_function;
	uint32_t next_unasked;
	uint32_t next_renamed; /* valid while is_renamed; while frames are dropped: the new number */
	uint8_t state;	       /* enum frame_state */
	bool is_renamed;
	bool is_kept; /* the heap wants its name: never dropped */
};

struct trie_node {
	uint64_t frame;
	uint32_t parent;
	uint32_t leaf; /* 0: no sample ends here */
	uint32_t first_child, next_sibling;
	uint32_t next_of_frame;
	uint32_t number : FRAME_NUMBER_BITS; /* of the frame */
	uint32_t end : 4;		     /* enum stack_end of every stack through it */
};
_Static_assert(sizeof(struct trie_node) == 32, "half a cache line");
_Static_assert(STACK_ENDS <= 16, "fits trie_node.end");

struct leaf {
	uint64_t self, self_kernel;
	uint64_t settled; /* of self: added to the sums already */
	uint32_t node;
	uint32_t tree_node;  /* where in the call tree it is counted; 0: nowhere yet */
	uint32_t next_dirty; /* valid while is_dirty */
	bool is_dirty;
	bool must_move; /* a frame of it changed its function */
};

struct stacks {
	uint64_t seed;
	uint32_t limit;	 /* of nodes: then rare stacks are merged (merge.h) */
	uint32_t excess; /* nodes beyond the limit that could not be merged */
	bool is_merged;	 /* some were */
	struct index frame_index, node_index;
	ARRAY(struct frame_entry)
	frames; /* [0] unused */
	ARRAY(struct trie_node)
	nodes; /* [0] is the root */
	ARRAY(struct leaf)
	leaves; /* [0] unused */
	ARRAY(uint64_t)
	visited; /* one bit a node: scratch of the settling */
	uint32_t dirty_first, dirty_last;
	uint32_t dirty_count;
	uint32_t renamed; /* frames that changed their function since the last settling */
};

/* A return address is looked up inside its call: at offset - 1. */
static inline uint64_t frame_inside_call(uint64_t frame)
{
	return FRAME_OFFSET(frame) ? frame - 1 : frame;
}

bool stacks_init(struct stacks *stacks, uint64_t seed);
void stacks_deinit(struct stacks *stacks);

/* The number of a frame; 0: never seen. */
uint32_t stacks_find_frame(const struct stacks *stacks, uint64_t frame);
uint32_t stacks_intern_frame(struct profile *profile, uint64_t frame);
/* The frame that stands for a whole function (its place), as far as it is inlined through this site. */
uint32_t stacks_intern_somewhere(struct profile *profile, uint32_t function, uint32_t site);
/* Forgets the frames that no node has and nobody keeps, and numbers the others anew. All leaves are settled.
 * Cannot fail. */
void stacks_drop_frames(struct profile *profile);
/* 0: there is none. */
uint32_t stacks_find_child(const struct stacks *stacks, uint32_t parent, uint64_t frame);
uint32_t stacks_intern_child(struct profile *profile, uint32_t parent, uint64_t frame);
/* Adds a node that is not there yet, for which there is room in nodes, visited and node_index. */
uint32_t stacks_append_node(struct stacks *stacks, uint32_t parent, uint64_t frame, uint32_t frame_number,
			    unsigned end);
/* The trie node of a whole record. */
uint32_t stacks_intern_record(struct profile *profile, const struct sample_record *record);
/* The leaf of a node, made when it is the first sample. */
uint32_t stacks_intern_leaf(struct stacks *stacks, uint32_t node);
void stacks_mark_dirty(struct stacks *stacks, uint32_t leaf);
/* Marks all leaves below the frames that changed their function: they must move. */
void stacks_mark_moved(struct stacks *stacks);

#endif
