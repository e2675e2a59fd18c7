/* The functions, and their list sorted by self at all times.
 *
 * Identity: (module, name), or (module, address) of code without a name, whose text "module+0xADDRESS" is
 * made when somebody reads it (most provisional functions are never read, and the module's name may come
 * later). The list: self descending, then those that only have a total, then the empty ones. A change of self
 * moves a function by swaps with the outermost one of each value that it passes: O(log n) for each such
 * value. When that are too many, as with bytes, which are all distinct, the list is sorted at its next
 * reader.
 *
 * Inside, a function is its place in items. The place of a provisional one that has gone is used again, so
 * that names that come late cost no memory for ever. What is handed out (profile.h) is its number, which is
 * not.
 */
#ifndef KILN_PROFILE_FUNCTIONS_H
#define KILN_PROFILE_FUNCTIONS_H

#include "base/array.h"
#include "profile/index.h"
#include "profile/profile.h"

enum function_kind {
	FUNCTION_WITH_NAME,
	FUNCTION_AT_ADDRESS,  /* answered: there is no name; ELF virtual address of FDE or code */
	FUNCTION_PROVISIONAL, /* not answered yet; frame offset */
};

struct function_entry {
	const char *name;	 /* interned; NULL: not made yet */
	const char *module_name; /* that the name was made with */
	uint64_t address;
	uint64_t self, total;
	uint32_t number; /* never used again */
	uint32_t module;
	uint32_t rank;	  /* place in the list */
	uint32_t nodes;	  /* first call tree node */
	uint32_t frames;  /* first frame */
	uint32_t best;	  /* the frame whose file and line are shown; 0 none */
	uint32_t site;	  /* a call in it that was inlined (inlines.h): shown where it has no frame; 0 none */
	uint32_t mark;	  /* scratch: == functions.epoch */
	uint32_t slot;	  /* scratch: valid with the mark */
	uint8_t kind;	  /* enum function_kind */
	bool must_choose; /* best has lost self: another one may be better */
};

struct functions {
	struct index index;   /* by identity: place + 1 */
	struct index numbers; /* by number: place + 1 */
	ARRAY(struct function_entry)
	items;
	ARRAY(uint32_t)
	free; /* places */
	ARRAY(uint32_t)
	order; /* places, the list */
	uint32_t next_number;
	uint32_t hot; /* with self or total */
	uint32_t epoch;
	bool is_unsorted; /* order is; nothing else */
};

void functions_deinit(struct functions *functions);
/* Finds or adds; FUNCTION_NONE when memory is short. name must be interned. */
uint32_t functions_intern(struct functions *functions, uint32_t module, const char *name);
uint32_t functions_intern_address(struct functions *functions, uint32_t module, uint64_t address,
				  enum function_kind kind);
/* By its text. */
uint32_t functions_intern_text(struct profile *profile, uint32_t module, const char *text);
/* The place of a number; FUNCTION_NONE: it has gone, or never was. */
uint32_t functions_find(const struct functions *functions, uint32_t number);
/* Gives back the places of the provisional functions that nothing belongs to any more. */
void functions_forget_provisional(struct functions *functions);
void functions_add(struct functions *functions, uint32_t function, uint64_t self, uint64_t total);
void functions_subtract(struct functions *functions, uint32_t function, uint64_t self, uint64_t total);
/* Sets self and total of all to 0. */
void functions_clear(struct functions *functions);
/* Before the list is read. */
void functions_sort(struct functions *functions);
/* Starts to use mark and slot of all functions anew. */
uint32_t functions_new_epoch(struct functions *functions);

/* The text; never NULL. */
const char *functions_get_name(struct profile *profile, uint32_t function);
/* Orders two functions by their text, then by number. */
int functions_compare_names(struct profile *profile, uint32_t a, uint32_t b);

#endif
