/* The parts of a heap's model: for the files of profile/ that make it up, and for their tests.
 *
 * A slot is the kernel's: the counters of one stack of addresses. A site is a leaf of the heap's profile:
 * what several slots become when the allocator's own frames are taken away. Figures are summed up three
 * times, as differences arrive: by site, by the site's frame (a function's figures are those of its frames),
 * and all of them.
 */
#ifndef KILN_PROFILE_HEAP_INTERNAL_H
#define KILN_PROFILE_HEAP_INTERNAL_H

#include "base/array.h"
#include "profile/heap.h"
#include "profile/heap_timeline.h"
#include "profile/heap_wrappers.h"

/* Nodes of the trie; then new stacks cost two. Some 150 bytes each with all that hangs on them, so 75 MiB;
 * and changing the metric of so many takes 25 ms. */
#define HEAP_NODES_MAX (1u << 19)

struct heap_slot {
	struct heap_figures taken; /* what the sums have of it */
	uint32_t site;		   /* 0: its stack has not come */
};

struct heap_chunk {
	const struct heap_totals *memory; /* NULL: not given, or taken away */
	struct heap_slot *slots;	  /* NULL: none yet */
};

struct heap {
	struct profile *owner;
	struct profile *profile;
	enum heap_metric metric;
	struct heap_facts facts;
	struct heap_wrappers wrappers;
	struct heap_timeline timeline;
	uint64_t peak_seen_bytes; /* in the timeline already */
	struct heap_chunk chunks[HEAP_CHUNKS];
	uint32_t slots;	     /* given so far */
	uint32_t cursor;     /* the slot where the next update goes on */
	uint32_t exec;	     /* of the target */
	uint64_t peak_epoch; /* of the whole heap */
	uint32_t peak_exec;  /* that the target had then */
	uint32_t not_taken;  /* site of the slots without a stack */
	bool is_full;	     /* the trie: new stacks are shortened */
	size_t frames_known; /* frames of the profile that the owner knows too */
	struct heap_figures sum;
	ARRAY(struct heap_figures)
	sites; /* by leaf */
	ARRAY(uint32_t)
	frame_numbers; /* by frame: place in frame_sums; 0: nothing is allocated there */
	ARRAY(struct heap_figures)
	frame_sums; /* [0] unused */
};

void heap_destroy(struct heap *heap); /* NULL accepted */
/* The site of a stack of the heap's profile; 0 when memory is short. */
uint32_t heap_intern_site(struct heap *heap, uint32_t stack);
/* Tells the owner of the frames that have come, so that it asks for their names, and takes over those that it
 * has. */
void heap_share_frames(struct heap *heap);
/* The owner has named a frame. */
void heap_take_name(struct heap *heap, uint64_t frame);
/* What a site has changes from before to after. */
void heap_change(struct heap *heap, uint32_t site, const struct heap_figures *before,
		 const struct heap_figures *after);
/* Something has changed that is shown. */
void heap_touch(struct heap *heap);

#endif
