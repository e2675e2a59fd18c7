/* The memo: a stack that has been walked before is proved unchanged instead of walked again. Included by
 * unwind.bpf.h.
 *
 * A step by a plain rule is determined by (pc, sp, rbp), the words that it reads from the stack (the return
 * address, a saved rbp), and the mappings and tables. A memo keeps the steps of a thread's last walk, leaf
 * first. Where the walk of now comes to a pc, sp and rbp of then, the words are read and compared: if they
 * are the same, so is the step, and no mapping, page, row or rule is looked up. That holds for each frame by
 * itself: a leaf that differs is walked, the callers that it shares with the last walk are not.
 *
 * Steps that depend on more (registers, code bytes, pending returns) are walked always. The generation of the
 * mappings is part of the memo; tables never change under a module's id, and one that comes makes nothing
 * wrong that was right before. Memos are by thread id: two threads that share one only miss.
 */
#ifndef KILN_BPF_UNWIND_MEMO_BPF_H
#define KILN_BPF_UNWIND_MEMO_BPF_H

/* struct memo_frame.step: how the caller's rbp was found, and the offset of its place to the CFA above that.
 */
#define MEMO_NEVER	  0 /* walk it */
#define MEMO_SAME	  1 /* in rbp */
#define MEMO_ZERO	  2 /* undefined */
#define MEMO_SAVED	  3
#define MEMO_ROOT	  4 /* there is no caller */
#define MEMO_KIND	  7
#define MEMO_LEAF	  8 /* looked up at pc itself */
#define MEMO_OFFSET_SHIFT 8

/* Frames of the last walk that are passed by, at most, for one frame of this one. */
#define MEMO_SEEK_STEPS 4

/* Of the mappings; 0: they are another program's, or there are none. */
static __always_inline __u64 walk_get_generation(void)
{
	void *array = walk_get_mappings();
	const struct mapping_header *header = array ? walk_get_mapping(array, 0) : NULL;

	if (!header || header->exec_count != walk_get_exec_count() ||
	    header->remap_count != walk_get_remap_count())
		return 0;
	return header->generation;
}

static __always_inline struct memo_frame *memo_get(struct walk_memo *memo, __u32 turn, __u32 at)
{
	turn &= 1;
	at &= MEMO_FRAMES - 1;
	walk_opaque(turn);
	walk_opaque(at);
	return &memo->frames[turn & 1][at & (MEMO_FRAMES - 1)];
}

/* Before the first step. */
static __always_inline void memo_start(struct walk_context *context)
{
	struct walk_memo *memo = context->memo;
	struct walk *walk = context->walk;

	walk->memo_at = 0;
	walk->memo_made = 0;
	walk->memo_count = 0;
	walk->adopted = 0;
	if (!memo)
		return;
	walk->memo_generation = walk_get_generation();
	walk->memo_turn = memo->turn;
	if (memo->generation == walk->memo_generation && walk->memo_generation)
		walk->memo_count = memo->count;
}

/* After the last one. */
static __always_inline void memo_end(struct walk_context *context)
{
	struct walk_memo *memo = context->memo;
	struct walk *walk = context->walk;

	if (!memo)
		return;
	memo->generation = walk->memo_generation;
	memo->count = walk->memo_made;
	memo->turn = walk->memo_turn ^ 1;
}

/* The frame that was just put, before its step. */
static __always_inline void memo_put(struct walk_context *context, __u64 pc, __u64 sp, __u64 bp, __u64 step,
				     __u64 frame)
{
	struct walk *walk = context->walk;
	struct memo_frame *made;

	if (walk->memo_made >= MEMO_FRAMES)
		return;
	made = memo_get(context->memo, walk->memo_turn ^ 1, walk->memo_made);
	made->pc = pc;
	made->sp = sp;
	made->bp = bp;
	made->frame = frame;
	made->step = step;
	walk->memo_made++;
}

/* After its step, by a plain rule or the root's. */
static __always_inline void memo_set_step(struct walk_context *context, __u32 index)
{
	struct walk *walk = context->walk;

	if (context->memo && walk->memo_made == index + 1 && index < MEMO_FRAMES)
		memo_get(context->memo, walk->memo_turn ^ 1, index)->step =
			walk->memo_step | (index ? 0 : MEMO_LEAF);
}

/* The frame of the last walk that stands where this one is; NULL: there is none. */
static __always_inline const struct memo_frame *memo_find(struct walk_context *context, __u32 index)
{
	struct walk *walk = context->walk;
	const struct memo_frame *old = NULL;
	__u32 at = walk->memo_at;

	for (int i = 0; i < MEMO_SEEK_STEPS; i++) {
		if (at >= walk->memo_count)
			return NULL;
		old = memo_get(context->memo, walk->memo_turn, at);
		if (old->sp >= walk->sp)
			break;
		at++;
	}
	walk->memo_at = at;
	if (!old || old->sp != walk->sp || old->pc != walk->pc || old->bp != walk->bp)
		return NULL;
	if (!(old->step & MEMO_KIND) || !(old->step & MEMO_LEAF) != !!index)
		return NULL;
	return old;
}

/* Makes the window hold [low, high), and as much of the last walk's stack as it can: that is what comes next.
 */
static __always_inline void memo_move_window(struct walk_context *context, __u64 low, __u64 high)
{
	struct walk *walk = context->walk;
	__u64 bytes;

	if (walk->has_no_window ||
	    (low >= walk->window_start && high - walk->window_start <= walk->window_bytes))
		return;
	bytes = memo_get(context->memo, walk->memo_turn, walk->memo_count - 1)->sp - low;
	if (bytes > WALK_WINDOW_MOST_BYTES)
		bytes = WALK_WINDOW_MOST_BYTES;
	else if (bytes < high - low)
		bytes = WALK_WINDOW_BYTES;
	walk_read_window(walk, low, (__u32)bytes);
}

/* Whether the step of then is that of now: its words are read and compared. */
static __always_inline int memo_is_unchanged(struct walk_context *context, const struct memo_frame *old,
					     const struct memo_frame *next)
{
	struct walk *walk = context->walk;
	__u64 cfa = next->sp, low = cfa - 8, word;
	__s64 offset = (__s64)old->step >> MEMO_OFFSET_SHIFT;

	if ((old->step & MEMO_KIND) == MEMO_SAVED && offset < -8 && offset > -WALK_WINDOW_BYTES / 2)
		low = cfa + offset;
	memo_move_window(context, low, cfa);
	if (walk_read_word(walk, cfa - 8, &word) || word != next->pc)
		return 0;
	if ((old->step & MEMO_KIND) != MEMO_SAVED)
		return 1;
	return !walk_read_word(walk, cfa + offset, &word) && word == next->bp;
}

/* Takes the step from the memo, and says what it leads to; STACK_NO_RULE: to nothing, walk it. */
static __always_inline __u32 memo_adopt(struct walk_context *context, __u32 index)
{
	const struct memo_frame *old, *next = NULL;
	struct walk *walk = context->walk;

	old = memo_find(context, index);
	if (!old)
		return STACK_NO_RULE;
	if ((old->step & MEMO_KIND) != MEMO_ROOT) {
		if (walk->memo_at + 1 >= walk->memo_count)
			return STACK_NO_RULE;
		next = memo_get(context->memo, walk->memo_turn, walk->memo_at + 1);
		if (!memo_is_unchanged(context, old, next))
			return STACK_NO_RULE;
	}
	if (!walk_put_frame(context, index, old->frame))
		return STACK_NO_RULE;
	memo_put(context, old->pc, old->sp, old->bp, old->step, old->frame);
	walk->adopted++;
	if (!next)
		return STACK_COMPLETE;
	walk->memo_at++;
	walk->has_rbx = 0;
	return walk_go_on(walk, next->pc, next->sp, next->bp);
}

#endif
