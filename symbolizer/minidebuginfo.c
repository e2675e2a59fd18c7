#include "symbolizer/minidebuginfo.h"

#include "base/array.h"
#include "symbolizer/elf.h"

#include <lzma.h>

/* That of a browser has some 10 MB. */
#define UNPACKED_MAX (64u << 20)
#define FIRST_CHUNK  (256u << 10)
/* What xz itself may use: with a dictionary of 64 MiB (xz -9) it is a little more. */
#define XZ_MEMORY_MAX (96u << 20)

struct unpacked {
	char *items;
	size_t count, capacity;
};

/* Makes room as it goes: nobody says beforehand how much it will be. */
static bool make_room(lzma_stream *stream, struct unpacked *out)
{
	size_t wanted = out->capacity ? 2 * out->capacity : FIRST_CHUNK;

	out->count = out->capacity;
	if (out->capacity >= UNPACKED_MAX || !array_reserve(out, wanted))
		return false;
	stream->next_out = (uint8_t *)out->items + out->count;
	stream->avail_out = out->capacity - out->count;
	return true;
}

static const char *run_xz(lzma_stream *stream, struct unpacked *out)
{
	lzma_ret status = LZMA_OK;

	while (status == LZMA_OK) {
		if (!stream->avail_out && !make_room(stream, out))
			return "its minidebuginfo unpacks to more than 64 MiB";
		status = lzma_code(stream, LZMA_FINISH);
	}
	out->count = out->capacity - stream->avail_out;
	if (status == LZMA_STREAM_END)
		return NULL;
	return status == LZMA_BUF_ERROR	       ? "its minidebuginfo is cut short"
	       : status == LZMA_MEMLIMIT_ERROR ? "its minidebuginfo asks for too much memory"
	       : status == LZMA_MEM_ERROR      ? "no memory for its minidebuginfo"
					       : "its minidebuginfo is damaged";
}

static const char *unpack(const Elf_Data *packed, struct unpacked *out)
{
	lzma_stream stream = LZMA_STREAM_INIT;
	const char *why;

	if (lzma_stream_decoder(&stream, XZ_MEMORY_MAX, 0) != LZMA_OK)
		return "no memory for its minidebuginfo";
	stream.next_in = packed->d_buf;
	stream.avail_in = packed->d_size;
	why = run_xz(&stream, out);
	lzma_end(&stream);
	return why;
}

bool minidebuginfo_open(Elf *elf, struct minidebuginfo *ret, const char **ret_why)
{
	Elf_Scn *section = elf_find_section(elf, ".gnu_debugdata");
	Elf_Data *packed = section ? elf_rawdata(section, NULL) : NULL;
	struct unpacked out = {0};
	const char *why;

	*ret = (struct minidebuginfo){0};
	if (!section)
		return true;
	if (!packed || !packed->d_buf || !packed->d_size) {
		*ret_why = "its minidebuginfo is not in the file";
		return false;
	}
	why = unpack(packed, &out);
	ret->bytes = out.items;
	if (!why) {
		ret->elf = elf_memory(out.items, out.count);
		if (elf_is_supported(ret->elf, &why))
			return true;
	}
	*ret_why = why;
	minidebuginfo_close(ret);
	return false;
}

void minidebuginfo_close(struct minidebuginfo *mini)
{
	elf_end(mini->elf);
	free(mini->bytes);
	*mini = (struct minidebuginfo){0};
}
