// SPDX-License-Identifier: LGPL-2.1-or-later
// The entries of walk.h: what Windows' structures say of Linux' regions and threads.
#include "walk.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

#include "arch.h"
#include "walk_handles.h"
#include "winvalue.h"

static void *pointer(uint64_t address)
{
	return (void *)(uintptr_t)address;
}

static void fill_region(const struct pss_section *section, uint32_t index,
			struct pss_walk_entry *entry)
{
	const struct pss_region_record *region = pss_section_region(section, index);
	uint32_t flags = pss_section_header(section)->capture_flags;
	PSS_VA_SPACE_ENTRY *value = &entry->value.region;
	MEMORY_BASIC_INFORMATION basic;

	pss_winvalue_region(region, &basic);
	value->BaseAddress = basic.BaseAddress;
	value->AllocationBase = basic.AllocationBase;
	value->AllocationProtect = basic.AllocationProtect;
	value->RegionSize = basic.RegionSize;
	value->State = basic.State;
	value->Protect = basic.Protect;
	value->Type = basic.Type;
	if (!(flags & PSS_CAPTURE_VA_SPACE_SECTION_INFORMATION))
		return;
	// [heap] and [stack] are descriptions, not files.
	if (value->Type != MEM_PRIVATE)
		entry->text = region->path;
	if (value->Type == MEM_IMAGE) {
		value->TimeDateStamp = region->image_timestamp;
		value->SizeOfImage = region->image_size;
		value->ImageBase = pointer(region->image_base);
	}
}

static void plan_context(const struct pss_section *section, const struct pss_thread_record *thread,
			 struct pss_walk_entry *entry)
{
	const struct pss_section_header *header = pss_section_header(section);
	const struct pss_arch *arch = pss_arch_native();
	const void *general;
	size_t size;

	// A CONTEXT is the caller's own machine's: there is none for threads of another.
	if (!(header->capture_flags & PSS_CAPTURE_THREAD_CONTEXT) ||
	    !(thread->flags & PSS_THREAD_HAS_REGISTERS) || header->machine != arch->elf_machine ||
	    pss_section_regset(section, thread, NT_PRSTATUS, &general, &size) < 0)
		return;
	entry->context_thread = thread;
	entry->context_size = arch->context_size;
}

static void fill_thread(const struct pss_section *section, uint32_t index,
			struct pss_walk_entry *entry)
{
	const struct pss_thread_record *thread = pss_section_thread(section, index);
	PSS_THREAD_ENTRY *value = &entry->value.thread;
	bool is_terminated = thread->flags & PSS_THREAD_TERMINATED;

	value->ExitStatus =
		is_terminated ? pss_winvalue_exit_code(thread->exit_status) : STILL_ACTIVE;
	value->TebBaseAddress = pointer(thread->thread_pointer);
	value->ProcessId = (DWORD)pss_section_process(section)->pid;
	value->ThreadId = (DWORD)thread->tid;
	value->AffinityMask = thread->affinity_mask;
	value->Priority = pss_winvalue_priority(thread->policy, thread->nice, thread->rt_priority);
	value->BasePriority = pss_winvalue_base_priority(thread->policy, thread->nice);
	if (thread->flags & PSS_THREAD_HAS_SYSCALL && thread->syscall_number >= 0) {
		value->LastSyscallFirstArgument = pointer(thread->syscall_arguments[0]);
		value->LastSyscallNumber = (WORD)thread->syscall_number;
	}
	value->CreateTime = pss_winvalue_filetime(thread->create_time);
	value->ExitTime = pss_winvalue_filetime(thread->exit_time);
	value->KernelTime = pss_winvalue_filetime(thread->kernel_time);
	value->UserTime = pss_winvalue_filetime(thread->user_time);
	value->CaptureTime = pss_winvalue_filetime(thread->capture_time);
	value->Flags = is_terminated ? PSS_THREAD_FLAGS_TERMINATED : PSS_THREAD_FLAGS_NONE;
	value->SuspendCount = thread->flags & PSS_THREAD_GROUP_STOPPED ? 1 : 0;
	plan_context(section, thread, entry);
}

static void fill_name(const struct pss_section *section, uint32_t index,
		      struct pss_walk_entry *entry)
{
	entry->text = pss_section_thread(section, index)->name;
}

static void fill_aux_page(const struct pss_section *section, uint32_t index,
			  struct pss_walk_entry *entry)
{
	const struct pss_aux_page_record *page = pss_section_aux_page(section, index);
	const struct pss_region_record *region = pss_section_region_at(section, page->address);
	PSS_AUXILIARY_PAGE_ENTRY *value = &entry->value.aux_page;

	if (region)
		pss_winvalue_region(region, &value->BasicInformation);
	value->BasicInformation.BaseAddress = pointer(page->address);
	value->BasicInformation.RegionSize = pss_section_header(section)->page_size;
	value->Address = pointer(page->address);
	value->CaptureTime = pss_winvalue_filetime(page->capture_time);
	entry->contents = page->contents;
}

/** One row a class. It is there if the flag was given; without a flag, if the part has an entry. */
static const struct walk_class {
	size_t length;
	uint32_t flag; /**< of PSS_CAPTURE_FLAGS, or 0 */
	enum pss_part part;
	void (*fill)(const struct pss_section *section, uint32_t index,
		     struct pss_walk_entry *entry);
} classes[PSS_WALK_CLASS_COUNT] = {
	[PSS_WALK_AUXILIARY_PAGES] = { sizeof(PSS_AUXILIARY_PAGE_ENTRY), 0, PSS_PART_AUX_PAGES,
				       fill_aux_page },
	[PSS_WALK_VA_SPACE] = { sizeof(PSS_VA_SPACE_ENTRY), PSS_CAPTURE_VA_SPACE, PSS_PART_REGIONS,
				fill_region },
	[PSS_WALK_HANDLES] = { sizeof(PSS_HANDLE_ENTRY), PSS_CAPTURE_HANDLES, PSS_PART_HANDLES,
			       pss_walk_handles_fill },
	[PSS_WALK_THREADS] = { sizeof(PSS_THREAD_ENTRY), PSS_CAPTURE_THREADS, PSS_PART_THREADS,
			       fill_thread },
	[PSS_WALK_THREAD_NAME] = { sizeof(PSS_THREAD_NAME), PSS_CAPTURE_THREADS, PSS_PART_THREADS,
				   fill_name },
};

static bool is_present(const struct pss_section *section, const struct walk_class *class)
{
	if (class->flag)
		return pss_section_header(section)->capture_flags & class->flag;
	return pss_section_count(section, class->part) > 0;
}

int pss_walk_check(const struct pss_section *section, unsigned class, size_t length)
{
	if (class >= PSS_WALK_CLASS_COUNT)
		return -EINVAL;
	if (length != classes[class].length)
		return -EMSGSIZE;
	if (!is_present(section, &classes[class]))
		return -ENOENT;
	return 0;
}

uint32_t pss_walk_count(const struct pss_section *section, unsigned class)
{
	return pss_section_count(section, classes[class].part);
}

void pss_walk_fill(const struct pss_section *section, unsigned class, uint32_t index,
		   struct pss_walk_entry *ret)
{
	// Padding goes out to the caller as well: it must not carry our stack.
	memset(ret, 0, sizeof *ret);
	ret->size = classes[class].length;
	classes[class].fill(section, index, ret);
}

void pss_walk_set_text(struct pss_walk_entry *entry, unsigned class, const WCHAR *text,
		       uint16_t size)
{
	if (class == PSS_WALK_HANDLES) {
		entry->value.handle.ObjectName = text;
		entry->value.handle.ObjectNameLength = size;
	} else if (class == PSS_WALK_VA_SPACE) {
		entry->value.region.MappedFileName = text;
		entry->value.region.MappedFileNameLength = size;
	} else if (class == PSS_WALK_THREAD_NAME) {
		entry->value.name.ThreadName = text;
		entry->value.name.ThreadNameSize = size;
	}
}

void pss_walk_set_context(const struct pss_section *section, struct pss_walk_entry *entry,
			  void *context)
{
	const struct pss_thread_record *thread = entry->context_thread;
	struct pss_arch_registers sets = { 0 };

	// A set that is not there stays NULL.
	(void)pss_section_regset(section, thread, NT_PRSTATUS, &sets.general, &sets.general_size);
	(void)pss_section_regset(section, thread, NT_PRFPREG, &sets.floating, &sets.floating_size);
	(void)pss_section_regset(section, thread, NT_X86_XSTATE, &sets.extended,
				 &sets.extended_size);
	pss_arch_native()->build_context(&sets, pss_section_header(section)->thread_context_flags,
					 context);
	entry->value.thread.ContextRecord = context;
	entry->value.thread.SizeOfContextRecord = (WORD)entry->context_size;
}

void pss_walk_set_contents(struct pss_walk_entry *entry, void *contents)
{
	entry->value.aux_page.PageContents = contents;
	entry->value.aux_page.PageSize = (DWORD)entry->contents.size;
}
