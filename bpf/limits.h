/* What the programs and their loader agree upon beyond the formats of events.h and table.h: data only. */
#ifndef KILN_BPF_LIMITS_H
#define KILN_BPF_LIMITS_H

/* Inner arrays must have exactly the flags of their template. Not BPF_F_RDONLY_PROG, which would forbid to
 * fill them by mmap (bpf_map_mmap() in kernel/bpf/syscall.c). */
#define INNER_MAP_FLAGS (BPF_F_INNER_MAP | BPF_F_MMAPABLE)

/* Halvings of the search among the mappings; vm.max_map_count is 65,530 by default. */
#define MAPPING_SEARCH_STEPS 17
#define MAPPINGS_MAX	     ((1u << MAPPING_SEARCH_STEPS) - 1)

/* Scratch slots a CPU: a perf event can interrupt another program of ours, which may have been interrupted
 * itself. */
#define SCRATCH_SLOTS 3

/* Threads a CPU whose last stack is remembered; 40 KiB each. */
#define MEMO_SLOTS 16

/* Traps of the heap: some ten a module that brings an allocator. */
#define SITES_MAX 4096

#endif
