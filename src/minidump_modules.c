// SPDX-License-Identifier: LGPL-2.1-or-later
// The objects of a minidump: one entry for each that is mapped, whatever number of mappings it has,
// the program first, since readers take the first one for it.
#include <elf.h>
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "base/checked.h"
#include "minidump_streams.h"
#include "utf.h"

enum {
	CV_SIGNATURE_ELF = 0x4270454C, // of Breakpad, "BpEL": a build ID follows
	RECORD_ROOM = PSS_IMAGE_BUILD_ID_MAX + 4,
	PATH_UNITS = 4096,
};

// What Breakpad and its readers call the vDSO.
static const char vdso_name[] = "linux-gate.so";

static bool text_is(const struct pss_section *section, struct pss_bytes_ref ref, const char *text)
{
	const void *bytes;

	return ref.size == strlen(text) && pss_section_bytes(section, ref, &bytes) == 0 &&
	       memcmp(bytes, text, ref.size) == 0;
}

bool pss_minidump_is_vdso(const struct pss_section *section, const struct pss_region_record *region)
{
	return region->kind == PSS_REGION_SPECIAL && text_is(section, region->path, "[vdso]");
}

static uint64_t find_auxv(const struct pss_section *section, uint64_t tag)
{
	size_t size;
	const uint8_t *bytes = pss_section_blob(section, PSS_PART_AUXV, &size);

	for (; size >= sizeof(Elf64_auxv_t); size -= sizeof(Elf64_auxv_t)) {
		Elf64_auxv_t entry;

		memcpy(&entry, bytes, sizeof entry);
		bytes += sizeof entry;
		if (entry.a_type == tag)
			return entry.a_un.a_val;
	}
	return 0;
}

static bool is_same_object(const struct pss_minidump_module *module,
			   const struct pss_region_record *region)
{
	return region->allocation_base == module->base;
}

static struct pss_minidump_module *last_module(struct pss_minidump *dump)
{
	return dump->module_count > 0 ? pss_minidump_module_at(dump, dump->module_count - 1) : NULL;
}

// What the object itself says where the capture was not asked to look: the clone has it mapped.
static void complete(const struct pss_minidump *dump, const struct pss_region_record *region,
		     struct pss_minidump_module *module)
{
	struct pss_image image;
	const void *bytes;

	if (region->build_id.size > 0 && region->build_id.size <= sizeof module->build_id &&
	    pss_section_bytes(dump->section, region->build_id, &bytes) == 0) {
		module->build_id_size = (uint32_t)region->build_id.size;
		memcpy(module->build_id, bytes, region->build_id.size);
		return;
	}
	if (pss_collect_image_read(dump->memory->mem_fd, region->start, &image) < 0)
		return;
	(void)pss_u32(image.high - image.low, &module->size);
	module->build_id_size = image.build_id_size;
	memcpy(module->build_id, image.build_id, sizeof image.build_id);
	if (image.build_id_size >= sizeof module->timestamp) {
		memcpy(&module->timestamp, image.build_id, sizeof module->timestamp);
		module->timestamp = be32toh(module->timestamp);
	}
}

// Another mapping of the last object, or the first one of the next.
static int add_mapping(struct pss_minidump *dump, const struct pss_region_record *region)
{
	struct pss_minidump_module *last = last_module(dump);

	if (last && !last->is_vdso && is_same_object(last, region)) {
		last->end = region->end;
		return 0;
	}
	struct pss_minidump_module module = {
		.base = region->start,
		.end = region->end,
		.size = region->image_size,
		.timestamp = region->image_timestamp,
		.is_vdso = region->kind == PSS_REGION_SPECIAL,
		.path = region->path,
	};
	complete(dump, region, &module);
	int r = pss_buf_append(&dump->modules, &module, sizeof module);
	if (r == 0)
		dump->module_count++;
	return r;
}

// What its file says of an object's size may be nonsense; what is mapped is so. Nor does one object
// reach into the next: readers refuse such a list, or look for addresses in the wrong one.
static void settle_sizes(struct pss_minidump *dump)
{
	for (uint32_t i = 0; i < dump->module_count; i++) {
		struct pss_minidump_module *module = pss_minidump_module_at(dump, i);
		uint64_t next = i + 1 < dump->module_count
					? pss_minidump_module_at(dump, i + 1)->base
					: UINT64_MAX;
		uint64_t size = module->size;

		if (size == 0 || size > INT32_MAX)
			size = module->end - module->base;
		if (size > next - module->base)
			size = next - module->base;
		module->size = size > INT32_MAX ? INT32_MAX : (uint32_t)size;
	}
}

static void put_program_first(struct pss_minidump *dump)
{
	uint64_t headers = find_auxv(dump->section, AT_PHDR);

	for (uint32_t i = 0; i < dump->module_count; i++) {
		struct pss_minidump_module program = *pss_minidump_module_at(dump, i);

		if (headers < program.base || headers >= program.end)
			continue;
		memmove(pss_minidump_module_at(dump, 1), pss_minidump_module_at(dump, 0),
			i * sizeof program);
		*pss_minidump_module_at(dump, 0) = program;
		return;
	}
}

// The signature and the build ID. 0: there is none.
static size_t get_record(const struct pss_minidump_module *module, uint8_t record[RECORD_ROOM])
{
	static const uint32_t signature = CV_SIGNATURE_ELF;

	if (module->build_id_size == 0)
		return 0;
	memcpy(record, &signature, sizeof signature);
	memcpy(record + sizeof signature, module->build_id, module->build_id_size);
	return sizeof signature + module->build_id_size;
}

static size_t get_name(const struct pss_minidump *dump, const struct pss_minidump_module *module,
		       const char **ret)
{
	const void *bytes;

	*ret = vdso_name;
	if (module->is_vdso)
		return sizeof vdso_name - 1;
	if (pss_section_bytes(dump->section, module->path, &bytes) < 0)
		return 0;
	*ret = bytes;
	size_t size = module->path.size;
	if (!pss_minidump_has(dump, MiniDumpFilterModulePaths))
		return size;
	const char *slash = memrchr(bytes, '/', size);
	if (!slash)
		return size;
	*ret = slash + 1;
	return size - (size_t)(*ret - (const char *)bytes);
}

static bool ask(struct pss_minidump *dump, struct pss_minidump_module *module)
{
	uint8_t record[RECORD_ROOM];
	WCHAR path[PATH_UNITS];
	MINIDUMP_MODULE_CALLBACK question;
	const char *name;

	if (!dump->ask->callback)
		return true;
	memset(&question, 0, sizeof question);
	size_t size = get_name(dump, module, &name);
	(void)pss_utf_to_utf16(name, size, path, PATH_UNITS);
	question.FullPath = path;
	question.BaseOfImage = module->base;
	question.SizeOfImage = module->size;
	question.TimeDateStamp = module->timestamp;
	question.SizeOfCvRecord = (ULONG)get_record(module, record);
	question.CvRecord = question.SizeOfCvRecord > 0 ? record : NULL;
	return pss_minidump_ask_module(dump->ask, &question, &module->flags);
}

static void ask_all(struct pss_minidump *dump)
{
	ULONG flags = ModuleWriteModule | ModuleWriteMiscRecord | ModuleWriteCvRecord;
	uint32_t kept = 0;

	if (pss_minidump_has(dump, MiniDumpWithDataSegs))
		flags |= ModuleWriteDataSeg;
	if (pss_minidump_has(dump, MiniDumpWithCodeSegs))
		flags |= ModuleWriteCodeSegs;
	for (uint32_t i = 0; i < dump->module_count; i++) {
		struct pss_minidump_module module = *pss_minidump_module_at(dump, i);

		module.flags = flags;
		if (ask(dump, &module))
			*pss_minidump_module_at(dump, kept++) = module;
	}
	dump->module_count = kept;
}

int pss_minidump_modules_choose(struct pss_minidump *dump)
{
	for (uint32_t i = 0; i < pss_section_count(dump->section, PSS_PART_REGIONS); i++) {
		const struct pss_region_record *region = pss_section_region(dump->section, i);

		if (region->kind != PSS_REGION_IMAGE &&
		    !pss_minidump_is_vdso(dump->section, region))
			continue;
		int r = add_mapping(dump, region);
		if (r < 0)
			return r;
	}
	settle_sizes(dump);
	put_program_first(dump);
	ask_all(dump);
	return 0;
}

static void put_module(struct pss_minidump *dump, const struct pss_minidump_module *module, RVA at)
{
	MINIDUMP_MODULE entry = {
		.BaseOfImage = module->base,
		.SizeOfImage = module->size,
		.TimeDateStamp = module->timestamp,
	};
	uint8_t record[RECORD_ROOM];
	const char *name;
	size_t size = get_name(dump, module, &name);

	entry.ModuleNameRva = pss_minidump_layout_put_text(&dump->layout, name, size);
	size = module->flags & ModuleWriteCvRecord ? get_record(module, record) : 0;
	if (size > 0) {
		entry.CvRecord.DataSize = (ULONG32)size;
		entry.CvRecord.Rva = pss_minidump_layout_put(&dump->layout, record, size);
	}
	pss_minidump_layout_set(&dump->layout, at, &entry, sizeof entry);
}

int pss_minidump_put_modules(struct pss_minidump *dump)
{
	const MINIDUMP_MODULE_LIST head = { .NumberOfModules = dump->module_count };
	RVA at = pss_minidump_layout_put(&dump->layout, &head, sizeof head);

	pss_minidump_layout_add(&dump->layout, NULL, dump->module_count * sizeof(MINIDUMP_MODULE));
	dump->stream = pss_minidump_layout_since(&dump->layout, at);
	for (uint32_t i = 0; i < dump->module_count; i++)
		put_module(dump, pss_minidump_module_at(dump, i),
			   at + (RVA)(sizeof head + i * sizeof(MINIDUMP_MODULE)));
	return 0;
}
