// SPDX-License-Identifier: LGPL-2.1-or-later
// Which memory does a process change? Freezes its memory, lets it run on, and on Enter lists the
// pages that are no longer as they were: freeze PID.
//
//     c++ -std=c++11 freeze.cpp $(pkg-config --cflags --libs procsnap) -o freeze
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include <procsnap.h>

static void check(DWORD error, const std::string &what)
{
	if (error != ERROR_SUCCESS)
		throw std::runtime_error(what + ": error " + std::to_string(error) + ": " +
					 PssxErrorText());
}

// A process, closed in the end.
class Process
{
      public:
	explicit Process(DWORD pid) : handle_(OpenProcess(PROCESS_ALL_ACCESS, FALSE, pid))
	{
		if (!handle_)
			check(GetLastError(), "OpenProcess");
	}
	~Process()
	{
		CloseHandle(handle_);
	}
	Process(const Process &) = delete;
	Process &operator=(const Process &) = delete;
	HANDLE get() const
	{
		return handle_;
	}

      private:
	HANDLE handle_;
};

// A snapshot with memory, freed in the end; the frozen copy goes with it.
class Snapshot
{
      public:
	explicit Snapshot(const Process &process)
	{
		check(PssCaptureSnapshot(process.get(), PSS_CAPTURE_VA_CLONE | PSS_CAPTURE_VA_SPACE,
					 0, &handle_),
		      "PssCaptureSnapshot");
	}
	~Snapshot()
	{
		PssFreeSnapshot(GetCurrentProcess(), handle_);
	}
	Snapshot(const Snapshot &) = delete;
	Snapshot &operator=(const Snapshot &) = delete;

	// Stands for the frozen process wherever memory is read. It belongs to the snapshot.
	HANDLE clone() const
	{
		PSS_VA_CLONE_INFORMATION information;

		check(PssQuerySnapshot(handle_, PSS_QUERY_VA_CLONE_INFORMATION, &information,
				       sizeof(information)),
		      "the clone");
		return information.VaCloneHandle;
	}

	std::vector<PSS_VA_SPACE_ENTRY> regions() const
	{
		std::vector<PSS_VA_SPACE_ENTRY> all;
		PSS_VA_SPACE_ENTRY region;
		HPSSWALK marker;
		DWORD error;

		check(PssWalkMarkerCreate(nullptr, &marker), "PssWalkMarkerCreate");
		while ((error = PssWalkSnapshot(handle_, PSS_WALK_VA_SPACE, marker, &region,
						sizeof(region))) == ERROR_SUCCESS) {
			region.MappedFileName = nullptr; // lives no longer than the marker
			all.push_back(region);
		}
		PssWalkMarkerFree(marker);
		if (error != ERROR_NO_MORE_ITEMS)
			check(error, "walking the regions");
		return all;
	}

      private:
	HPSS handle_ = nullptr;
};

// Only memory that is the process's own can be told apart: what is shared is live in the clone too.
static bool is_compared(const PSS_VA_SPACE_ENTRY &region)
{
	const DWORD writable =
		PAGE_READWRITE | PAGE_WRITECOPY | PAGE_EXECUTE_READWRITE | PAGE_EXECUTE_WRITECOPY;

	return region.State == MEM_COMMIT && region.Type != MEM_MAPPED && region.Protect & writable;
}

// Prints the changed pages of a region; those that follow each other in one line.
static size_t compare(HANDLE frozen, HANDLE live, const PSS_VA_SPACE_ENTRY &region,
		      size_t page_size)
{
	char *const start = static_cast<char *>(region.BaseAddress);
	std::vector<char> before(page_size), now(page_size);
	size_t changed = 0, run = 0;

	for (size_t offset = 0; offset <= region.RegionSize; offset += page_size) {
		// Pages that went away since are no change of contents; nor is the end.
		bool differs =
			offset < region.RegionSize &&
			ReadProcessMemory(frozen, start + offset, before.data(), page_size,
					  nullptr) &&
			ReadProcessMemory(live, start + offset, now.data(), page_size, nullptr) &&
			std::memcmp(before.data(), now.data(), page_size) != 0;

		if (!differs && run > 0)
			std::printf("changed 0x%llx size 0x%llx\n",
				    static_cast<unsigned long long>(
					    reinterpret_cast<uintptr_t>(start) + offset - run),
				    static_cast<unsigned long long>(run));
		run = differs ? run + page_size : 0;
		changed += differs;
	}
	return changed;
}

static void freeze(DWORD pid)
{
	const size_t page_size = 4096; // pages may be larger, then a change shows in part of one
	Process process(pid);
	Snapshot snapshot(process);
	size_t changed = 0;

	std::printf("frozen; the process runs on. Enter compares.\n");
	std::fflush(stdout);
	std::getchar();
	for (const PSS_VA_SPACE_ENTRY &region : snapshot.regions())
		if (is_compared(region))
			changed += compare(snapshot.clone(), process.get(), region, page_size);
	std::printf("%zu pages have changed\n", changed);
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		std::fprintf(stderr, "usage: %s PID\n", argv[0]);
		return 2;
	}
	try {
		freeze(static_cast<DWORD>(std::strtoul(argv[1], nullptr, 10)));
	} catch (const std::exception &error) {
		std::fprintf(stderr, "%s\n", error.what());
		return 1;
	}
	return 0;
}
