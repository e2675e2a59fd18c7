/* The heap's programs where the kernel has uprobe sessions: one program sees entry and return, and the entry
 * says whether the return is wanted. An object of its own: libbpf 1.1 has no weak kfuncs. */
#include "bpf/heap.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

extern _Bool bpf_session_is_return(void) __ksym;

SEC("uprobe")
int on_heap_session(struct pt_regs *ctx)
{
	if (!is_target())
		return 1;
	if (!bpf_session_is_return())
		return !on_alloc(ctx, bpf_get_attach_cookie(ctx), 1);
	on_leave(ctx);
	return 0;
}

/* Functions whose return does not matter: free(). */
SEC("uprobe")
int on_heap_entry(struct pt_regs *ctx)
{
	if (is_target())
		on_free(ctx, bpf_get_attach_cookie(ctx));
	return 0;
}
