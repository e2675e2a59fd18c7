/* A module whose symbols lie: "malloc", "calloc" and "free" point into the middle of instructions, at bytes
 * that look like the start of a function. A trap there changes what the real function computes. For
 * heap-lies.c. */
__asm__(".text\n"
	".globl honest\n"
	".type honest, @function\n"
	"honest:\n"
	"	.cfi_startproc\n"
	"	movabsq $0x5355415441554156, %rax\n" /* the eight bytes of its value are pushes */
	"	movl $0x90905590, %edx\n"
	"	imulq %rdx, %rax\n"
	"	ret\n"
	"	.cfi_endproc\n"
	".size honest, . - honest\n"
	".globl malloc\n"
	".type malloc, @function\n"
	".set malloc, honest + 2\n"
	".size malloc, 8\n"
	".globl free\n"
	".type free, @function\n"
	".set free, honest + 11\n"
	".size free, 4\n"
	".globl calloc\n"
	".type calloc, @function\n"
	".set calloc, honest + 4\n"
	".size calloc, 6\n");
