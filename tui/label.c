/* One scanner rewrites a name with its argument lists and template lists kept, marked or dropped; label_fit()
 * goes down the list of what it tries until something fits. Nothing here knows C++ or Rust: brackets, "::"
 * and the word "operator" are enough, and a name whose brackets do not pair is left as it is. */
#include "tui/label.h"

#include "base/text.h"
#include "tui/width.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define ELLIPSIS "…"

enum lists { LISTS_KEEP, LISTS_MARK, LISTS_DROP };

struct output {
	char text[LABEL_MAX];
	size_t length;
};

static void output_add(struct output *output, const char *text, size_t length)
{
	if (length > sizeof(output->text) - 1 - output->length)
		length = sizeof(output->text) - 1 - output->length;
	memcpy(output->text + output->length, text, length);
	output->length += length;
	output->text[output->length] = '\0';
}

static bool is_word(char c)
{
	return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Bytes of "operator" and its symbol at text, 0 when there is none. Longest first: "<<=" is no "<". */
static size_t measure_operator(const char *name, const char *text)
{
	static const char *const symbols[] = {
		"<=>", "<<=", ">>=", "->*", "<<", ">>", "<=", ">=", "->", "==", "!=", "&&", "||",
		"++",  "--",  "+=",  "-=",  "*=", "/=", "%=", "^=", "&=", "|=", "()", "[]", "<",
		">",   "+",   "-",   "*",   "/",  "%",	"^",  "&",  "|",  "~",	"!",  "=",  ",",
	};
	size_t i, word = strlen("operator");

	if (strncmp(text, "operator", word) || (text > name && is_word(text[-1])) || is_word(text[word]))
		return 0;
	for (i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++)
		if (!strncmp(text + word, symbols[i], strlen(symbols[i])))
			return word + strlen(symbols[i]);
	return word;
}

/* Bytes of a bracketed list from its '(' or '<' to its end, 0 when it does not end. */
static size_t measure_list(const char *text)
{
	bool is_template = *text == '<';
	unsigned round = 0, angle = 0;
	size_t i;

	for (i = 0; text[i]; i++) {
		if (text[i] == '(')
			round++;
		else if (text[i] == ')' && round-- == 0)
			return 0;
		else if (is_template && !round && text[i] == '<')
			angle++;
		else if (is_template && !round && text[i] == '>' && text[i - 1] != '-' && angle-- == 1)
			return i + 1;
		if (!is_template && !round)
			return i + 1;
	}
	return 0;
}

/* Round brackets that are part of the name: "(anonymous namespace)", Go's "(*Type).Method". */
static bool is_part_of_name(const char *list, size_t length)
{
	return !strncmp(list, "(anonymous", 10) || list[length] == '.' ||
	       (list[length] == ':' && list[1] == '*');
}

/* What stands behind a dropped argument list: " const", "&", " [clone .cold]", up to the next part of the
 * name. */
static size_t measure_qualifiers(const char *text)
{
	const char *next = strstr(text, "::");

	return next ? (size_t)(next - text) : strlen(text);
}

static size_t add_arguments(struct output *output, const char *text, enum lists arguments, bool in_braces)
{
	size_t length = measure_list(text);

	if (!length)
		length = 1;
	else if (arguments == LISTS_MARK && length > 2 && !is_part_of_name(text, length)) {
		output_add(output, "(" ELLIPSIS ")", strlen(ELLIPSIS) + 2);
		return length;
	} else if (arguments == LISTS_DROP && !is_part_of_name(text, length))
		return length + (in_braces ? 0 : measure_qualifiers(text + length));
	output_add(output, text, length);
	return length;
}

static size_t add_templates(struct output *output, const char *text, enum lists templates)
{
	size_t length = measure_list(text);

	if (length && templates == LISTS_MARK)
		output_add(output, "<" ELLIPSIS ">", strlen(ELLIPSIS) + 2);
	if (!length || templates == LISTS_KEEP)
		output_add(output, text, length ? length : 1);
	return length ? length : 1;
}

static void rewrite(struct output *output, const char *name, enum lists arguments, enum lists templates)
{
	const char *at = name;
	int braces = 0;

	output->length = 0;
	output->text[0] = '\0';
	while (*at) {
		size_t length = measure_operator(name, at);

		braces += (*at == '{') - (*at == '}');
		if (length) {
			output_add(output, at, length);
			at += length;
		} else if (*at == '(') {
			at += add_arguments(output, at, arguments, braces > 0);
		} else if (*at == '<') {
			at += add_templates(output, at, templates);
		} else {
			output_add(output, at++, 1);
		}
	}
	while (output->length && output->text[output->length - 1] == ' ') /* "operator<< <char>" */
		output->text[--output->length] = '\0';
	if (*name == '<' && !strncmp(output->text, "::", 2)) /* "<T as Trait>::method" without its list */
		memmove(output->text, output->text + 2, output->length - 1);
}

/* The left part goes up to here: behind the next "::", '/' or blank. NULL: the last part is reached. What
 * stands in braces ("{lambda()#1}") and behind "operator" is one part. */
static const char *find_next_part(const char *name)
{
	const char *at;
	int braces = 0;

	for (at = name; *at && !measure_operator(name, at); at++) {
		braces += (*at == '{') - (*at == '}');
		if (braces)
			continue;
		if (at[0] == ':' && at[1] == ':' && at[2])
			return at + 2;
		if ((*at == ' ' || *at == '/') && at[1])
			return at + 1;
	}
	return NULL;
}

static size_t next_codepoint(const char *text, size_t length, unsigned *ret_cells)
{
	uint32_t codepoint;
	size_t used = text_decode(text, length, &codepoint);

	*ret_cells = used ? width_of_codepoint(codepoint) : 1;
	return used ? used : 1;
}

static unsigned count_cells(const char *text)
{
	size_t length = strlen(text), i = 0;
	unsigned cells = 0, one;

	while (i < length) {
		i += next_codepoint(text + i, length - i, &one);
		cells += one;
	}
	return cells;
}

/* Bytes of the longest start of text that takes at most this many cells. */
static size_t measure_start(const char *text, unsigned cells, unsigned *ret_cells)
{
	size_t length = strlen(text), i = 0;
	unsigned used = 0;

	while (i < length) {
		unsigned one;
		size_t bytes = next_codepoint(text + i, length - i, &one);

		if (used + one > cells)
			break;
		used += one;
		i += bytes;
	}
	*ret_cells = used;
	return i;
}

/* Joins parts; false, and nothing, when the caller's buffer is too small. */
static bool copy_parts(char *ret, size_t capacity, const char *start, size_t length, const char *mark,
		       const char *end)
{
	size_t mark_length = strlen(mark), end_length = strlen(end);

	ret[0] = '\0';
	if (length + mark_length + end_length >= capacity)
		return false;
	memcpy(ret, start, length);
	memcpy(ret + length, mark, mark_length);
	memcpy(ret + length + mark_length, end, end_length + 1);
	return true;
}

static unsigned cut_before(const char *text, const char *end, unsigned cells, char *ret, size_t capacity)
{
	const char *mark = cells > 1 ? ELLIPSIS : "";
	unsigned kept = (cells > 1) + count_cells(end), used;
	size_t length;

	if (kept >= cells)
		return 0;
	length = measure_start(text, cells - kept, &used);
	if (!length || !copy_parts(ret, capacity, text, length, mark, end))
		return 0;
	return used + kept;
}

/* Cuts the end of text; of "module+0x1234" the end of the module, if some of it stays. */
static unsigned cut(const char *text, unsigned cells, char *ret, size_t capacity)
{
	const char *offset = strstr(text, "+0x");
	unsigned used = offset && offset > text ? cut_before(text, offset, cells, ret, capacity) : 0;

	return used ? used : cut_before(text, "", cells, ret, capacity);
}

static bool fits(const char *text, unsigned cells, char *ret, size_t capacity, unsigned *ret_cells)
{
	unsigned used = count_cells(text);

	if (!*text || used > cells || strlen(text) >= capacity)
		return false;
	*ret_cells = used;
	copy_parts(ret, capacity, text, strlen(text), "", "");
	return true;
}

unsigned label_fit(const char *name, unsigned cells, char *ret, size_t capacity)
{
	static const struct {
		enum lists arguments, templates;
	} steps[] = {
		{LISTS_MARK, LISTS_KEEP},
		{LISTS_DROP, LISTS_KEEP},
		{LISTS_DROP, LISTS_MARK},
		{LISTS_DROP, LISTS_DROP},
	};
	struct output output;
	const char *part, *next;
	unsigned used = 0;
	size_t i;

	if (!capacity)
		return 0;
	ret[0] = '\0';
	if (!cells || !*name || fits(name, cells, ret, capacity, &used))
		return used;
	if (*name == '[' || strstr(name, "+0x"))
		return cut(name, cells, ret, capacity);
	for (i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		rewrite(&output, name, steps[i].arguments, steps[i].templates);
		if (fits(output.text, cells, ret, capacity, &used))
			return used;
	}
	part = output.text[0] ? output.text : name;
	for (next = part; next; next = find_next_part(part)) {
		part = next;
		if (fits(part, cells, ret, capacity, &used))
			return used;
	}
	return cut(part, cells, ret, capacity);
}
