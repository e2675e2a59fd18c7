/* The heap's programs where the kernel has perf-event uprobes only: a program for entries, one for returns.
 */
#include "bpf/heap.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("uprobe")
int on_heap_entry(struct pt_regs *ctx)
{
	__u64 cookie = bpf_get_attach_cookie(ctx);

	if (!is_target())
		return 0;
	if (HEAP_COOKIE_KIND(cookie) == HEAP_FREE)
		on_free(ctx, cookie);
	else
		on_alloc(ctx, cookie, 0);
	return 0;
}

SEC("uretprobe")
int on_heap_return(struct pt_regs *ctx)
{
	if (is_target())
		on_leave(ctx);
	return 0;
}
