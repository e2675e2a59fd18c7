#include "symbolizer/symbol_table.h"

bool symbol_table_open(Elf *elf, Elf_Scn *section, struct symbol_table *ret)
{
	Elf_Data *symbols, *strings;
	GElf_Shdr header;
	Elf_Scn *link;

	if (!section || !gelf_getshdr(section, &header) || (header.sh_flags & SHF_COMPRESSED) ||
	    (header.sh_type != SHT_SYMTAB && header.sh_type != SHT_DYNSYM))
		return false;
	link = elf_getscn(elf, header.sh_link);
	symbols = elf_getdata(section, NULL);
	strings = link ? elf_getdata(link, NULL) : NULL;
	if (!symbols || !symbols->d_buf || !strings || !strings->d_buf)
		return false;
	*ret = (struct symbol_table){
		.symbols = symbols->d_buf,
		.count = symbols->d_size / sizeof(Elf64_Sym),
		.strings = strings->d_buf,
		.strings_length = strings->d_size,
	};
	return true;
}

const char *symbol_table_name(const struct symbol_table *table, const Elf64_Sym *symbol, size_t *ret_length)
{
	if (symbol->st_name >= table->strings_length)
		return NULL;
	*ret_length = table->strings_length - symbol->st_name;
	return table->strings + symbol->st_name;
}
