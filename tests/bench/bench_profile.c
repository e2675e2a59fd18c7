/* What the model costs: ns for a sample whose stack is known and for one that is new, ns to settle, bytes a
 * node. No arguments; prints one line a figure. */
#include "profile/internal.h"
#include "profile/tree.h"

#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define DEPTH 30
#define FIELD (sizeof(struct sample_record) / 8)

static uint64_t buffer[FIELD + DEPTH];
static struct sample_record *const record = (struct sample_record *)buffer;
static uint64_t random_state = 88172645463325252ull;

static uint64_t get_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	return random_state ^= random_state << 17;
}

static double get_time_ns(void)
{
	struct timespec now;

	/* Of this thread: what else the machine does is left out. */
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* A stack of 30 frames whose upper 20 are one of 64 and whose lower 10 are one of `variety`. */
static void make_stack(uint64_t number, uint64_t variety)
{
	uint64_t leaf = number % variety, top = leaf % 64;

	*record = (struct sample_record){.tid = 1, .user_count = DEPTH, .time_ns = number * 100000};
	for (unsigned i = 0; i < DEPTH; i++) {
		uint64_t hash = (i < 10 ? leaf : top + 1000000007) * 0x9e3779b97f4a7c15ull + i;

		hash = hash * 0xff51afd7ed558ccdull;
		record->frames[i] = FRAME(16 + hash % 8, 0x1000 + (hash >> 40) % 20000 * 4 + i);
	}
}

static struct profile *create(void)
{
	struct profile *profile;

	if (profile_create(&profile))
		abort();
	return profile;
}

/* What is measured are stacks, not how they are merged. */
static struct profile *create_unlimited(void)
{
	struct profile *profile = create();

	profile->stacks.limit = UINT32_MAX;
	return profile;
}

static void name_all(struct profile *profile)
{
	uint64_t offsets[512];
	uint32_t module;
	size_t count;

	while ((count = profile_take_unnamed(profile, &module, offsets, 512)))
		for (size_t i = 0; i < count; i++) {
			char text[32];
			struct frame_name name = {.function = text};

			snprintf(text, sizeof(text), "function_%lu", offsets[i] / 64);
			name.function_length = strlen(text);
			profile_set_name(profile, FRAME(module, offsets[i]), &name, 1);
		}
}

/* CPU time of making stacks that are known, and of adding them when there is a profile. */
static double feed_known(struct profile *profile, uint64_t variety, uint64_t rounds)
{
	double start = get_time_ns();

	random_state = 88172645463325252ull;
	for (uint64_t i = 0; i < rounds; i++) {
		make_stack(get_random(), variety);
		record->time_ns = i * 100000;
		if (profile)
			profile_add_sample(profile, record, 0);
	}
	return get_time_ns() - start;
}

static void measure_known(uint64_t variety)
{
	struct profile *profile = create_unlimited();
	const uint64_t rounds = 400000;
	double add, settle;

	for (uint64_t i = 0; i < variety; i++) {
		make_stack(i, variety);
		profile_add_sample(profile, record, 0);
	}
	name_all(profile);
	profile_settle(profile);
	add = feed_known(profile, variety, rounds) - feed_known(NULL, variety, rounds);
	settle = get_time_ns();
	profile_settle(profile);
	settle = get_time_ns() - settle;
	printf("known stacks, %6lu different: %6.0f ns/sample, settle of all %8.2f ms\n", variety,
	       add / (double)rounds, settle / 1e6);
	profile_destroy(profile);
}

/* Stacks that never come again: how long a sample waits that finds the trie full. */
static void measure_merge(uint64_t rounds)
{
	struct profile *profile = create();
	double sum = 0, worst = 0;
	unsigned merges = 0;

	for (uint64_t i = 0; i < rounds; i++) {
		bool is_full = profile->stacks.nodes.count >= profile->stacks.limit;
		double start;

		make_stack(get_random() % (1 << 20), 1 << 20);
		start = get_time_ns();
		profile_add_sample(profile, record, 0);
		start = get_time_ns() - start;
		if (is_full) {
			merges++;
			sum += start;
			worst = start > worst ? start : worst;
		}
		if (i % 100 == 0)
			name_all(profile);
	}
	printf("merge at %u nodes: mean %.1f ms, at most %.1f ms (%u merges, %lu samples)\n",
	       profile->stacks.limit, sum / 1e6 / merges, worst / 1e6, merges, rounds);
	profile_destroy(profile);
}

static void measure_new(uint64_t variety)
{
	size_t before = mallinfo2().uordblks + mallinfo2().hblkhd, bytes;
	struct profile *profile = create_unlimited();
	double add, settle, names, move, start = get_time_ns();
	uint64_t depth_sum = 0;

	for (uint64_t i = 0; i < variety; i++) {
		make_stack(i, variety);
		profile_add_sample(profile, record, 0);
	}
	add = get_time_ns() - start;
	bytes = mallinfo2().uordblks + mallinfo2().hblkhd - before;
	start = get_time_ns();
	profile_settle(profile);
	settle = get_time_ns() - start;
	start = get_time_ns();
	name_all(profile);
	names = get_time_ns() - start;
	start = get_time_ns();
	profile_settle(profile);
	move = get_time_ns() - start;
	depth_sum = profile_count_stacks(profile);
	printf("new stacks, %lu: %.0f ns/sample; %lu nodes, %zu frames\n", variety, add / (double)variety,
	       depth_sum, profile->stacks.frames.count);
	printf("  bytes before summing: %zu a trie node (all of the profile), %zu a stack\n",
	       bytes / depth_sum, bytes / variety);
	printf("  settle unnamed %.0f ns/stack, name %.0f ns/frame, move %.0f ns/stack\n",
	       settle / (double)variety, names / (double)profile->stacks.frames.count,
	       move / (double)variety);
	bytes = mallinfo2().uordblks + mallinfo2().hblkhd - before;
	printf("  all in all %zu bytes a stack, call tree %zu nodes, functions %u\n", bytes / variety,
	       profile->calltree.nodes.count, (uint32_t)profile->functions.order.count);
	profile_destroy(profile);
}

static void measure_tree(uint64_t variety)
{
	struct profile *profile = create_unlimited();
	const struct tree_item *items;
	struct neighbour neighbours[16];
	struct tree *tree;
	double start, first;
	size_t count;

	for (uint64_t i = 0; i < variety; i++) {
		make_stack(i, variety);
		profile_add_sample(profile, record, 0);
	}
	name_all(profile);
	profile_settle(profile);
	if (tree_create(profile, TREE_BOTTOM_UP, &tree))
		abort();
	start = get_time_ns();
	if (tree_list_children(tree, 0, &items, &count))
		abort();
	first = get_time_ns() - start;
	start = get_time_ns();
	if (tree_list_children(tree, 0, &items, &count))
		abort();
	printf("bottom-up first level: %zu rows in %.2f ms, again %.2f ms\n", count, first / 1e6,
	       (get_time_ns() - start) / 1e6);
	start = get_time_ns();
	count = profile_list_callers(profile, profile_get_function_by_self(profile, 0), neighbours, 16);
	count += profile_list_callees(profile, profile_get_function_by_self(profile, 0), neighbours, 16);
	printf("callers and callees of the hottest: %zu in %.3f ms\n", count, (get_time_ns() - start) / 1e6);
	tree_destroy(tree);
	profile_destroy(profile);
}

/* What the dashboard does ten times a second, for ten minutes of stacks that are all new. */
static void look(struct profile *profile, struct tree *tree)
{
	struct neighbour neighbours[16];
	const struct tree_item *items;
	size_t count;

	name_all(profile);
	for (uint32_t rank = 0; rank < 40; rank++)
		profile_get_function(profile, profile_get_function_by_self(profile, rank));
	profile_list_callers(profile, profile_get_function_by_self(profile, 0), neighbours, 16);
	profile_list_callees(profile, profile_get_function_by_self(profile, 0), neighbours, 16);
	if (tree_list_children(tree, 0, &items, &count))
		abort();
}

static void measure_ticks(void)
{
	struct profile *profile = create();
	double worst[6] = {0}, sum[6] = {0};
	struct tree *tree;

	if (tree_create(profile, TREE_TOP_DOWN, &tree))
		abort();
	for (uint64_t tick = 0; tick < 6000; tick++) {
		double start = get_time_ns(), used;

		for (uint64_t i = 0; i < 20; i++) {
			make_stack(tick * 20 + i, UINT64_MAX);
			profile_add_sample(profile, record, 0);
		}
		look(profile, tree);
		used = get_time_ns() - start;
		sum[tick / 1000] += used;
		worst[tick / 1000] = used > worst[tick / 1000] ? used : worst[tick / 1000];
	}
	for (unsigned i = 0; i < 6; i++)
		printf("tick with 20 new stacks, after %6u stacks: mean %5.0f us, worst %6.0f us\n",
		       i * 20000, sum[i] / 1e6, worst[i] / 1e3);
	tree_destroy(tree);
	profile_destroy(profile);
}

int main(void)
{
	measure_known(100);
	measure_known(20000);
	measure_new(50000);
	measure_merge(100000);
	measure_tree(50000);
	measure_ticks();
	return 0;
}
