/* What a resolved frame is, and the messages that a worker speaks: data only.
 *
 * Three parties, two sockets a worker: the probe hands modules (fds) and takes tables; kiln asks names.
 * A worker drains the probe's socket before it answers kiln: a module that kiln knows has arrived.
 * All strings are sanitized UTF-8 without terminators, lengths beside them.
 */
#ifndef KILN_SYMBOLIZER_FRAME_H
#define KILN_SYMBOLIZER_FRAME_H

#include <linux/types.h>

enum module_kind {
	MODULE_KIND_FILE,
	MODULE_KIND_VDSO,   /* the fd is a memfd with the image of the vDSO */
	MODULE_KIND_KERNEL, /* the fd is a memfd with the text of /proc/kallsyms */
	MODULE_KIND_ANONYMOUS,
	MODULE_KIND_ADDRESSES, /* a file that is asked for ELF virtual addresses instead of offsets */
	/* Of the probe to the worker only: files that name the code of MODULE_ANONYMOUS. */
	MODULE_KIND_PERF_MAP, /* module is MODULE_ANONYMOUS; a second one takes the place of the first */
	MODULE_KIND_JITDUMP,  /* module is the file's own id */
};

enum module_symbols { SYMBOLS_STRIPPED, SYMBOLS_MINIMAL, SYMBOLS_FULL, SYMBOLS_JIT };

#define BUILD_ID_MAX 32 /* bytes */

enum symbolizer_message {
	/* probe → worker */
	SYMBOLIZER_MODULE = 1, /* struct module_message + 1 fd (read-only) */
	SYMBOLIZER_BUILD,      /* struct build_message */
	/* worker → probe */
	SYMBOLIZER_TABLE, /* struct table_message; + 1 fd (sealed memfd, bpf/table.h) when status is TABLE_OK
			   */
	SYMBOLIZER_HOOKS, /* struct hooks_message: before the answer to SYMBOLIZER_BUILD, when the module has
			     any */
	/* kiln → worker */
	SYMBOLIZER_NAMES, /* struct names_request */
	SYMBOLIZER_AGAIN, /* struct again_message: forget what the module's names came from; a file has come
			   */
	/* worker → kiln */
	SYMBOLIZER_NAMED, /* struct names_answer: answers in the order and number of the request's offsets,
			     perhaps in several messages */
	SYMBOLIZER_INFO,  /* struct info_message: once a module, before its first names; and when it has
			     changed */
	SYMBOLIZER_FILES, /* + 1 fd: the socket on which the worker asks for files; once, as the first message
			   */
	/* worker → kiln, on that socket: one question at a time */
	SYMBOLIZER_WANT, /* struct want_message */
	/* kiln → worker, on that socket */
	SYMBOLIZER_FILE, /* struct file_message; + 1 fd (read-only, a regular file) when status is FILE_OPENED
			  */
	/* kiln → worker, and back (symbolizer/code_message.h) */
	SYMBOLIZER_CODE,      /* struct code_request */
	SYMBOLIZER_CODE_PART, /* struct code_part: one for each request */
};

struct module_message {
	__u32 module;
	__u32 kind; /* enum module_kind */
};

struct build_message {
	__u32 module;
	/* Of a file of the same size whose table is there; 0: none. If the module has this one, TABLE_SAME
	 * will do. */
	__u32 build_id_length;
	__u8 build_id[BUILD_ID_MAX];
};

enum table_status {
	TABLE_OK,
	TABLE_NO_EH_FRAME, /* the module has no unwind information */
	TABLE_BAD,	   /* it is damaged, or no ELF file for x86-64 */
	TABLE_SAME,	   /* it has the build-id that came with SYMBOLIZER_BUILD: nothing was built */
};

struct table_message {
	__u32 module;
	__u32 status;	       /* enum table_status */
	char why[120];	       /* sanitized, terminated; empty when status is TABLE_OK */
	__u32 build_id_length; /* 0: it has none */
	__u8 build_id[BUILD_ID_MAX];
	__u32 reserved;
};

/* A function of an allocator, which the probe may put a trap on; or one that only passes allocations on
 * (operator new of libstdc++, what only jumps to another), whose frame belongs to the allocator. */
enum hook_flags {
	HOOK_WRAPPER = 1, /* no trap: only a range */
	HOOK_LIES = 2,	  /* its symbol is not where a function starts: no trap */
	HOOK_THROWS = 4,  /* it ends by an exception when there is no memory: under a return probe the C++
			     runtime finds no way past the trampoline and aborts the target */
};

struct hook_proposal {
	__u64 start;   /* file offset of the function's first byte */
	__u64 length;  /* bytes of the function; 0 unknown */
	__u32 kind;    /* enum heap_kind (bpf/heap_events.h); 0 with HOOK_WRAPPER */
	__u32 flags;   /* enum hook_flags: one of them, or 0 */
	char name[32]; /* as people know it ("operator new"); sanitized, terminated, not empty */
};
#define HOOK_PROPOSALS_MAX 256

struct hooks_message {
	__u32 module;
	__u32 count;
	__u32 is_go; /* Go code is in it: no probe with a return may be put there */
	__u32 reserved;
	struct hook_proposal proposals[];
};

struct again_message {
	__u32 module;
};

struct names_request {
	__u32 module;
	__u32 count;
	__u64 offsets[]; /* frame offsets of the module; of a return address already minus 1 */
};
#define NAMES_REQUEST_MAX 512

/* One answer for each offset, in order: the innermost function first; with NAME_INLINED the next entry
 * answers the same offset, and is the function that this one is inlined into (its file and line are those of
 * the call). The last one is the concrete function. function_length 0: no name and no FDE (kiln writes
 * module+0xADDRESS with `start`); flags NAME_FDE: no symbol, but an FDE covers it (kiln writes
 * module+0xSTART). */
struct name_entry {
	__u64 start; /* ELF virtual address of the function's or FDE's start; without either of the address
			itself */
	__u32 line;  /* 0 unknown */
	__u16 flags; /* NAME_… */
	__u16 function_length; /* bytes of the demangled name, that follow the struct */
	__u16 file_length;     /* bytes of the file's path, that follow the name */
	__u16 reserved[3];
	/* function, file, then padding to 8 bytes */
};
#define NAME_FDE     1
#define NAME_INLINED 2
/* Of one offset; of deeper chains the levels in the middle are left out. */
#define NAME_LEVELS_MAX 64
#define NAME_LENGTH_MAX 4096 /* longer names are cut, and end in … */

struct names_answer {
	__u32 module;
	__u32 first; /* number of the request's first offset that is answered here */
	__u32 count; /* offsets that are answered here, all their levels included */
	__u32 reserved;
	/* struct name_entry with their strings: at least one for each offset */
};

struct info_message {
	__u32 module;
	__u32 symbols; /* enum module_symbols */
	__u32 build_id_length;
	__u8 build_id[BUILD_ID_MAX];
	char why[120]; /* why there are no names, terminated; empty when all is well */
};

/* A file with debug information that belongs to a module but is not the module. Where it may lie is kiln's
 * affair; whether it is the right one is the worker's. */
enum want_kind {
	WANT_BUILD_ID, /* by its build-id, which is the module's */
	WANT_LINK,     /* .gnu_debuglink: by its name, beside the module */
	WANT_ALT,      /* .gnu_debugaltlink: by its own build-id, else by its path's last part */
	WANT_DWO,      /* .dwo: by its path */
};

struct want_message {
	__u32 serial; /* comes back with the answer */
	__u32 module;
	__u32 kind;  /* enum want_kind */
	__u32 place; /* look from this one on: 0, or one more than where a wrong file was found */
	__u32 build_id_length;
	__u8 build_id[BUILD_ID_MAX];
	char name[]; /* terminated; empty with WANT_BUILD_ID */
};
#define WANT_NAME_MAX 4095 /* bytes, without the terminator */

enum file_status { FILE_OPENED, FILE_NONE };

struct file_message {
	__u32 serial;
	__u32 module;
	__u32 status;  /* enum file_status */
	__u32 place;   /* OPENED: where */
	char why[120]; /* NONE: what was refused, sanitized, terminated; empty: there is none */
};

#endif
