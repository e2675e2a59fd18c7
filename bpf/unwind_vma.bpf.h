/* What lies at an address right now, asked of the kernel itself: for code that the published mappings do not
 * know yet, or no more (dlopen(), dlclose()). Included by unwind_maps.bpf.h.
 *
 * Only files that the probe has seen before are found, by device, inode, size and time of change: then the
 * module's id, and mostly its table, are there already. One that is new waits for the probe to read the maps.
 * In an interrupt (a CPU sample) the kernel answers once: the mmap_lock, which is only tried for, is given
 * back when the interrupt ends. So the list stays the way of all others.
 */
#ifndef KILN_BPF_UNWIND_VMA_BPF_H
#define KILN_BPF_UNWIND_VMA_BPF_H

#include "bpf/kernel.h"

/* include/linux/mm.h */
#define VM_EXEC	   0x00000004
#define PAGE_SHIFT 12

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, KNOWN_FILES_MAX);
	__type(key, struct file_key);
	__type(value, struct known_file);
} files SEC(".maps");

/* The time of change has moved twice: to another name in 6.7, to two fields in 6.11. */
struct inode___two_fields {
	__s64 i_mtime_sec;
	__u32 i_mtime_nsec;
} RELOCATED;

struct inode___other_name {
	struct timespec64 __i_mtime;
} RELOCATED;

struct inode___old {
	struct timespec64 i_mtime;
} RELOCATED;

static __always_inline int file_is_unchanged(struct inode *inode, const struct known_file *known)
{
	struct inode___two_fields *fields = (void *)inode;
	struct inode___other_name *other = (void *)inode;
	struct inode___old *old = (void *)inode;

	if (BPF_CORE_READ(inode, i_size) != known->size_bytes)
		return 0;
	if (bpf_core_field_exists(fields->i_mtime_sec))
		return BPF_CORE_READ(fields, i_mtime_sec) == known->modified_s &&
		       BPF_CORE_READ(fields, i_mtime_nsec) == known->modified_ns;
	if (bpf_core_field_exists(other->__i_mtime))
		return BPF_CORE_READ(other, __i_mtime.tv_sec) == known->modified_s &&
		       BPF_CORE_READ(other, __i_mtime.tv_nsec) == known->modified_ns;
	if (bpf_core_field_exists(old->i_mtime))
		return BPF_CORE_READ(old, i_mtime.tv_sec) == known->modified_s &&
		       BPF_CORE_READ(old, i_mtime.tv_nsec) == known->modified_ns;
	return 0;
}

static long vma_take(struct task_struct *task, struct vm_area_struct *vma, struct mapping *ret)
{
	struct file *file = BPF_CORE_READ(vma, vm_file);
	const struct known_file *known;
	struct file_key key = {};
	struct inode *inode;

	if (!file || !(BPF_CORE_READ(vma, vm_flags) & VM_EXEC))
		return 0;
	inode = BPF_CORE_READ(file, f_inode);
	key.inode = BPF_CORE_READ(inode, i_ino);
	key.device = BPF_CORE_READ(inode, i_sb, s_dev);
	known = bpf_map_lookup_elem(&files, &key);
	if (!known || !file_is_unchanged(inode, known))
		return 0;
	ret->start = BPF_CORE_READ(vma, vm_start);
	ret->end = BPF_CORE_READ(vma, vm_end);
	ret->offset = BPF_CORE_READ(vma, vm_pgoff) << PAGE_SHIFT;
	ret->module = known->module;
	return 0;
}

/* 0: it is no code of a file that is known, or the kernel does not answer now. */
walk_global int walk_ask_kernel(__u64 pc, struct mapping *ret)
{
	struct mapping found = {};

	if (!ret)
		return 0; /* never: for the verifier */
	bpf_find_vma(bpf_get_current_task_btf(), pc, vma_take, &found, 0);
	*ret = found;
	return found.end > pc;
}

#endif
