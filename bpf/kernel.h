/* The few kernel structs that the programs read: libbpf relocates each access to the running kernel's layout
 * (CO-RE).
 *
 * Only the fields that are used are declared; their order and offsets here mean nothing.
 */
#ifndef KILN_BPF_KERNEL_H
#define KILN_BPF_KERNEL_H

#define RELOCATED __attribute__((preserve_access_index))

struct list_head {
	struct list_head *next;
} RELOCATED;

typedef struct {
	int counter;
} RELOCATED atomic_t;

struct sched_entity {
	__u64 sum_exec_runtime;
} RELOCATED;

struct signal_struct {
	atomic_t live; /* threads that have not passed do_exit() */
	struct list_head thread_head;
	int group_exit_code;
	unsigned int flags;
	unsigned long long sum_sched_runtime; /* of the threads that were released already */
} RELOCATED;

/* include/linux/sched/signal.h: group_exit_code is what wait(2) will report */
#define SIGNAL_GROUP_EXIT 0x00000004

/* include/linux/mm.h: what a free range of addresses is looked for with */
struct vm_unmapped_area_info {
	unsigned long length;
} RELOCATED;

/* kernel/events/uprobes.c: the returns that a thread still owes to probes, newest first */
struct return_instance {
	unsigned long stack; /* address of the return address that was replaced */
	unsigned long orig_ret_vaddr;
	struct return_instance *next;
} RELOCATED;

struct uprobe_task {
	struct return_instance *return_instances;
} RELOCATED;

struct timespec64 {
	__s64 tv_sec;
	long tv_nsec;
} RELOCATED;

struct super_block {
	__u32 s_dev;
} RELOCATED;

struct inode {
	struct super_block *i_sb;
	unsigned long i_ino;
	__s64 i_size;
} RELOCATED;

struct file {
	struct inode *f_inode;
} RELOCATED;

struct vm_area_struct {
	unsigned long vm_start, vm_end, vm_pgoff, vm_flags;
	struct file *vm_file;
} RELOCATED;

struct mm_struct;

struct task_struct {
	int pid;
	int tgid;
	int exit_code;
	struct task_struct *group_leader;
	struct signal_struct *signal;
	struct list_head thread_node;
	struct sched_entity se;
	struct uprobe_task *utask;
	struct mm_struct *mm;
} RELOCATED;

#endif
