/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a minidump consists of, with the names, values and layouts of 64-bit Windows: packed to 4
 * bytes, little endian. An RVA is a position in the file. What each thing holds on Linux:
 * MiniDumpWriteDump(3).
 */
#ifndef PSS_MINIDUMPFILE_H
#define PSS_MINIDUMPFILE_H

#include "win32.h"

#ifdef __cplusplus
extern "C" {
#endif

/* How many parameters an exception has at most. Source: winnt.h. */
#define EXCEPTION_MAXIMUM_PARAMETERS 15

/* A date and a time of day. Source: "SYSTEMTIME structure". */
typedef struct SYSTEMTIME {
	WORD wYear;
	WORD wMonth;
	WORD wDayOfWeek;
	WORD wDay;
	WORD wHour;
	WORD wMinute;
	WORD wSecond;
	WORD wMilliseconds;
} SYSTEMTIME, *PSYSTEMTIME, *LPSYSTEMTIME;

/* How local time differs from UTC, in minutes. Source: "TIME_ZONE_INFORMATION structure". */
typedef struct TIME_ZONE_INFORMATION {
	LONG Bias;
	WCHAR StandardName[32];
	SYSTEMTIME StandardDate;
	LONG StandardBias;
	WCHAR DaylightName[32];
	SYSTEMTIME DaylightDate;
	LONG DaylightBias;
} TIME_ZONE_INFORMATION, *PTIME_ZONE_INFORMATION, *LPTIME_ZONE_INFORMATION;

/* The version of a file. ELF objects have none: all zeroes. Source: "VS_FIXEDFILEINFO structure".
 */
typedef struct VS_FIXEDFILEINFO {
	DWORD dwSignature;
	DWORD dwStrucVersion;
	DWORD dwFileVersionMS;
	DWORD dwFileVersionLS;
	DWORD dwProductVersionMS;
	DWORD dwProductVersionLS;
	DWORD dwFileFlagsMask;
	DWORD dwFileFlags;
	DWORD dwFileOS;
	DWORD dwFileType;
	DWORD dwFileSubtype;
	DWORD dwFileDateMS;
	DWORD dwFileDateLS;
} VS_FIXEDFILEINFO;

#pragma pack(push, 4)

/* Arrays that end a structure and have no size are no part of strict C++. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"

/* The first four bytes, "MDMP", and the low half of the version. Source: minidumpapiset.h. */
#define MINIDUMP_SIGNATURE 0x504D444D
#define MINIDUMP_VERSION   0x0000A793

typedef DWORD RVA;
typedef ULONG64 RVA64;

/* Where something lies in the file. Source: "MINIDUMP_LOCATION_DESCRIPTOR structure". */
typedef struct MINIDUMP_LOCATION_DESCRIPTOR {
	ULONG32 DataSize;
	RVA Rva;
} MINIDUMP_LOCATION_DESCRIPTOR;

typedef struct MINIDUMP_LOCATION_DESCRIPTOR64 {
	ULONG64 DataSize;
	RVA64 Rva;
} MINIDUMP_LOCATION_DESCRIPTOR64;

/* Memory that lies in the file. Source: "MINIDUMP_MEMORY_DESCRIPTOR structure". */
typedef struct MINIDUMP_MEMORY_DESCRIPTOR {
	ULONG64 StartOfMemoryRange;
	MINIDUMP_LOCATION_DESCRIPTOR Memory;
} MINIDUMP_MEMORY_DESCRIPTOR, *PMINIDUMP_MEMORY_DESCRIPTOR;

/* The same with no position: ranges of full memory follow one another. */
typedef struct MINIDUMP_MEMORY_DESCRIPTOR64 {
	ULONG64 StartOfMemoryRange;
	ULONG64 DataSize;
} MINIDUMP_MEMORY_DESCRIPTOR64, *PMINIDUMP_MEMORY_DESCRIPTOR64;

/* The head of the file. Source: "MINIDUMP_HEADER structure". */
typedef struct MINIDUMP_HEADER {
	ULONG32 Signature;
	ULONG32 Version;
	ULONG32 NumberOfStreams;
	RVA StreamDirectoryRva;
	ULONG32 CheckSum; /* 0: there is none */
	__extension__ union {
		ULONG32 Reserved;
		ULONG32 TimeDateStamp; /* Unix time of the snapshot */
	};
	ULONG64 Flags; /* MINIDUMP_TYPE */
} MINIDUMP_HEADER, *PMINIDUMP_HEADER;

/* One entry of the directory. Source: "MINIDUMP_DIRECTORY structure". */
typedef struct MINIDUMP_DIRECTORY {
	ULONG32 StreamType;
	MINIDUMP_LOCATION_DESCRIPTOR Location;
} MINIDUMP_DIRECTORY, *PMINIDUMP_DIRECTORY;

/* A text: its size in bytes without the terminator, then UTF-16. Source: "MINIDUMP_STRING". */
typedef struct MINIDUMP_STRING {
	ULONG32 Length;
	WCHAR Buffer[];
} MINIDUMP_STRING, *PMINIDUMP_STRING;

/*
 * Kinds of streams. Readers skip those that they do not know. Above LastReservedStream are those of
 * programs; Breakpad's of Linux are among them. Source: "MINIDUMP_STREAM_TYPE enumeration".
 */
typedef enum MINIDUMP_STREAM_TYPE {
	UnusedStream = 0,
	ReservedStream0 = 1,
	ReservedStream1 = 2,
	ThreadListStream = 3,
	ModuleListStream = 4,
	MemoryListStream = 5,
	ExceptionStream = 6,
	SystemInfoStream = 7,
	ThreadExListStream = 8,
	Memory64ListStream = 9,
	CommentStreamA = 10,
	CommentStreamW = 11,
	HandleDataStream = 12,
	FunctionTableStream = 13,
	UnloadedModuleListStream = 14,
	MiscInfoStream = 15,
	MemoryInfoListStream = 16,
	ThreadInfoListStream = 17,
	HandleOperationListStream = 18,
	TokenStream = 19,
	JavaScriptDataStream = 20,
	SystemMemoryInfoStream = 21,
	ProcessVmCountersStream = 22,
	IptTraceStream = 23,
	ThreadNamesStream = 24,
	ceStreamNull = 0x8000,
	ceStreamSystemInfo = 0x8001,
	ceStreamException = 0x8002,
	ceStreamModuleList = 0x8003,
	ceStreamProcessList = 0x8004,
	ceStreamThreadList = 0x8005,
	ceStreamThreadContextList = 0x8006,
	ceStreamThreadCallStackList = 0x8007,
	ceStreamMemoryVirtualList = 0x8008,
	ceStreamMemoryPhysicalList = 0x8009,
	ceStreamBucketParameters = 0x800A,
	ceStreamProcessModuleMap = 0x800B,
	ceStreamDiagnosisList = 0x800C,
	LastReservedStream = 0xFFFF
} MINIDUMP_STREAM_TYPE;

/* ProcessorArchitecture of MINIDUMP_SYSTEM_INFO. Source: winnt.h. */
#define PROCESSOR_ARCHITECTURE_INTEL 0
#define PROCESSOR_ARCHITECTURE_ARM   5
#define PROCESSOR_ARCHITECTURE_AMD64 9
#define PROCESSOR_ARCHITECTURE_ARM64 12

/* What the processor can do. Source: minidumpapiset.h. */
typedef union CPU_INFORMATION {
	struct {
		ULONG32 VendorId[3];
		ULONG32 VersionInformation;
		ULONG32 FeatureInformation;
		ULONG32 AMDExtendedCpuFeatures;
	} X86CpuInfo;
	struct {
		ULONG64 ProcessorFeatures[2];
	} OtherCpuInfo;
} CPU_INFORMATION, *PCPU_INFORMATION;

/* Machine and system. Source: "MINIDUMP_SYSTEM_INFO structure". */
typedef struct MINIDUMP_SYSTEM_INFO {
	USHORT ProcessorArchitecture; /* PROCESSOR_ARCHITECTURE_* */
	USHORT ProcessorLevel;
	USHORT ProcessorRevision;
	__extension__ union {
		USHORT Reserved0;
		__extension__ struct {
			UCHAR NumberOfProcessors;
			UCHAR ProductType;
		};
	};
	ULONG32 MajorVersion; /* of the kernel */
	ULONG32 MinorVersion;
	ULONG32 BuildNumber;
	ULONG32 PlatformId; /* 0x8201: Linux */
	RVA CSDVersionRva;  /* what uname(2) says */
	__extension__ union {
		ULONG32 Reserved1;
		__extension__ struct {
			USHORT SuiteMask;
			USHORT Reserved2;
		};
	};
	CPU_INFORMATION Cpu;
} MINIDUMP_SYSTEM_INFO, *PMINIDUMP_SYSTEM_INFO;

/* One thread. Source: "MINIDUMP_THREAD structure". */
typedef struct MINIDUMP_THREAD {
	ULONG32 ThreadId;
	ULONG32 SuspendCount;
	ULONG32 PriorityClass;
	ULONG32 Priority;
	ULONG64 Teb; /* the thread pointer */
	MINIDUMP_MEMORY_DESCRIPTOR Stack;
	MINIDUMP_LOCATION_DESCRIPTOR ThreadContext; /* a CONTEXT of ProcessorArchitecture */
} MINIDUMP_THREAD, *PMINIDUMP_THREAD;

typedef struct MINIDUMP_THREAD_LIST {
	ULONG32 NumberOfThreads;
	MINIDUMP_THREAD Threads[];
} MINIDUMP_THREAD_LIST, *PMINIDUMP_THREAD_LIST;

/* What has happened to the process. Source: "MINIDUMP_EXCEPTION structure". */
typedef struct MINIDUMP_EXCEPTION {
	ULONG32 ExceptionCode;
	ULONG32 ExceptionFlags;
	ULONG64 ExceptionRecord;
	ULONG64 ExceptionAddress;
	ULONG32 NumberParameters;
	ULONG32 __unusedAlignment;
	ULONG64 ExceptionInformation[EXCEPTION_MAXIMUM_PARAMETERS];
} MINIDUMP_EXCEPTION, *PMINIDUMP_EXCEPTION;

typedef struct MINIDUMP_EXCEPTION_STREAM {
	ULONG32 ThreadId;
	ULONG32 __alignment;
	MINIDUMP_EXCEPTION ExceptionRecord;
	MINIDUMP_LOCATION_DESCRIPTOR ThreadContext;
} MINIDUMP_EXCEPTION_STREAM, *PMINIDUMP_EXCEPTION_STREAM;

/* An ELF object that is mapped. Source: "MINIDUMP_MODULE structure". */
typedef struct MINIDUMP_MODULE {
	ULONG64 BaseOfImage;
	ULONG32 SizeOfImage;
	ULONG32 CheckSum;
	ULONG32 TimeDateStamp;
	RVA ModuleNameRva;
	VS_FIXEDFILEINFO VersionInfo;
	MINIDUMP_LOCATION_DESCRIPTOR CvRecord; /* "LEpB" and the whole build ID */
	MINIDUMP_LOCATION_DESCRIPTOR MiscRecord;
	ULONG64 Reserved0;
	ULONG64 Reserved1;
} MINIDUMP_MODULE, *PMINIDUMP_MODULE;

typedef struct MINIDUMP_MODULE_LIST {
	ULONG32 NumberOfModules;
	MINIDUMP_MODULE Modules[];
} MINIDUMP_MODULE_LIST, *PMINIDUMP_MODULE_LIST;

/* Memory with positions of 32 bits. Source: "MINIDUMP_MEMORY_LIST structure". */
typedef struct MINIDUMP_MEMORY_LIST {
	ULONG32 NumberOfMemoryRanges;
	MINIDUMP_MEMORY_DESCRIPTOR MemoryRanges[];
} MINIDUMP_MEMORY_LIST, *PMINIDUMP_MEMORY_LIST;

/* Full memory: its ranges follow one another from BaseRva on, to the end of the file. */
typedef struct MINIDUMP_MEMORY64_LIST {
	ULONG64 NumberOfMemoryRanges;
	RVA64 BaseRva;
	MINIDUMP_MEMORY_DESCRIPTOR64 MemoryRanges[];
} MINIDUMP_MEMORY64_LIST, *PMINIDUMP_MEMORY64_LIST;

/* Descriptors. Source: "MINIDUMP_HANDLE_DATA_STREAM structure". */
typedef struct MINIDUMP_HANDLE_DATA_STREAM {
	ULONG32 SizeOfHeader;
	ULONG32 SizeOfDescriptor;
	ULONG32 NumberOfDescriptors;
	ULONG32 Reserved;
} MINIDUMP_HANDLE_DATA_STREAM, *PMINIDUMP_HANDLE_DATA_STREAM;

typedef struct MINIDUMP_HANDLE_DESCRIPTOR {
	ULONG64 Handle;
	RVA TypeNameRva;
	RVA ObjectNameRva;
	ULONG32 Attributes;
	ULONG32 GrantedAccess;
	ULONG32 HandleCount;
	ULONG32 PointerCount;
} MINIDUMP_HANDLE_DESCRIPTOR, *PMINIDUMP_HANDLE_DESCRIPTOR;

typedef struct MINIDUMP_HANDLE_DESCRIPTOR_2 {
	ULONG64 Handle;
	RVA TypeNameRva;
	RVA ObjectNameRva; /* 0: no name */
	ULONG32 Attributes;
	ULONG32 GrantedAccess;
	ULONG32 HandleCount;
	ULONG32 PointerCount;
	RVA ObjectInfoRva; /* MINIDUMP_HANDLE_OBJECT_INFORMATION, or 0 */
	ULONG32 Reserved0;
} MINIDUMP_HANDLE_DESCRIPTOR_2, *PMINIDUMP_HANDLE_DESCRIPTOR_2;

/* Source: "MINIDUMP_HANDLE_OBJECT_INFORMATION_TYPE enumeration". */
typedef enum MINIDUMP_HANDLE_OBJECT_INFORMATION_TYPE {
	MiniHandleObjectInformationNone,
	MiniThreadInformation1,
	MiniMutantInformation1,
	MiniMutantInformation2,
	MiniProcessInformation1,
	MiniProcessInformation2,
	MiniEventInformation1,
	MiniSectionInformation1,
	MiniSemaphoreInformation1,
	MiniHandleObjectInformationTypeMax
} MINIDUMP_HANDLE_OBJECT_INFORMATION_TYPE;

typedef struct MINIDUMP_HANDLE_OBJECT_INFORMATION {
	RVA NextInfoRva;
	ULONG32 InfoType;
	ULONG32 SizeOfInfo;
	/* SizeOfInfo bytes follow */
} MINIDUMP_HANDLE_OBJECT_INFORMATION;

/* Objects that were mapped once. Linux does not tell: there is no such stream. */
typedef struct MINIDUMP_UNLOADED_MODULE {
	ULONG64 BaseOfImage;
	ULONG32 SizeOfImage;
	ULONG32 CheckSum;
	ULONG32 TimeDateStamp;
	RVA ModuleNameRva;
} MINIDUMP_UNLOADED_MODULE, *PMINIDUMP_UNLOADED_MODULE;

typedef struct MINIDUMP_UNLOADED_MODULE_LIST {
	ULONG32 SizeOfHeader;
	ULONG32 SizeOfEntry;
	ULONG32 NumberOfEntries;
} MINIDUMP_UNLOADED_MODULE_LIST, *PMINIDUMP_UNLOADED_MODULE_LIST;

/* Which fields of MINIDUMP_MISC_INFO hold something. Source: "MINIDUMP_MISC_INFO structure". */
#define MINIDUMP_MISC1_PROCESS_ID            0x00000001
#define MINIDUMP_MISC1_PROCESS_TIMES         0x00000002
#define MINIDUMP_MISC1_PROCESSOR_POWER_INFO  0x00000004
#define MINIDUMP_MISC3_PROCESS_INTEGRITY     0x00000010
#define MINIDUMP_MISC3_PROCESS_EXECUTE_FLAGS 0x00000020
#define MINIDUMP_MISC3_TIMEZONE              0x00000040
#define MINIDUMP_MISC3_PROTECTED_PROCESS     0x00000080
#define MINIDUMP_MISC4_BUILDSTRING           0x00000100
#define MINIDUMP_MISC5_PROCESS_COOKIE        0x00000200

/* The process. Create time in seconds since 1970, CPU times in seconds. */
typedef struct MINIDUMP_MISC_INFO {
	ULONG32 SizeOfInfo;
	ULONG32 Flags1;
	ULONG32 ProcessId;
	ULONG32 ProcessCreateTime;
	ULONG32 ProcessUserTime;
	ULONG32 ProcessKernelTime;
} MINIDUMP_MISC_INFO, *PMINIDUMP_MISC_INFO;

typedef struct MINIDUMP_MISC_INFO_2 {
	ULONG32 SizeOfInfo;
	ULONG32 Flags1;
	ULONG32 ProcessId;
	ULONG32 ProcessCreateTime;
	ULONG32 ProcessUserTime;
	ULONG32 ProcessKernelTime;
	ULONG32 ProcessorMaxMhz;
	ULONG32 ProcessorCurrentMhz;
	ULONG32 ProcessorMhzLimit;
	ULONG32 ProcessorMaxIdleState;
	ULONG32 ProcessorCurrentIdleState;
} MINIDUMP_MISC_INFO_2, *PMINIDUMP_MISC_INFO_2;

typedef struct MINIDUMP_MISC_INFO_3 {
	ULONG32 SizeOfInfo;
	ULONG32 Flags1;
	ULONG32 ProcessId;
	ULONG32 ProcessCreateTime;
	ULONG32 ProcessUserTime;
	ULONG32 ProcessKernelTime;
	ULONG32 ProcessorMaxMhz;
	ULONG32 ProcessorCurrentMhz;
	ULONG32 ProcessorMhzLimit;
	ULONG32 ProcessorMaxIdleState;
	ULONG32 ProcessorCurrentIdleState;
	ULONG32 ProcessIntegrityLevel;
	ULONG32 ProcessExecuteFlags;
	ULONG32 ProtectedProcess;
	ULONG32 TimeZoneId;
	TIME_ZONE_INFORMATION TimeZone;
} MINIDUMP_MISC_INFO_3, *PMINIDUMP_MISC_INFO_3;

typedef struct MINIDUMP_MISC_INFO_4 {
	ULONG32 SizeOfInfo;
	ULONG32 Flags1;
	ULONG32 ProcessId;
	ULONG32 ProcessCreateTime;
	ULONG32 ProcessUserTime;
	ULONG32 ProcessKernelTime;
	ULONG32 ProcessorMaxMhz;
	ULONG32 ProcessorCurrentMhz;
	ULONG32 ProcessorMhzLimit;
	ULONG32 ProcessorMaxIdleState;
	ULONG32 ProcessorCurrentIdleState;
	ULONG32 ProcessIntegrityLevel;
	ULONG32 ProcessExecuteFlags;
	ULONG32 ProtectedProcess;
	ULONG32 TimeZoneId;
	TIME_ZONE_INFORMATION TimeZone;
	WCHAR BuildString[MAX_PATH];
	WCHAR DbgBldStr[40];
} MINIDUMP_MISC_INFO_4, *PMINIDUMP_MISC_INFO_4;

typedef struct XSTATE_FEATURE {
	DWORD Offset;
	DWORD Size;
} XSTATE_FEATURE, *PXSTATE_FEATURE;

typedef struct XSTATE_CONFIG_FEATURE_MSC_INFO {
	ULONG32 SizeOfInfo;
	ULONG32 ContextSize;
	ULONG64 EnabledFeatures;
	XSTATE_FEATURE Features[64];
} XSTATE_CONFIG_FEATURE_MSC_INFO, *PXSTATE_CONFIG_FEATURE_MSC_INFO;

typedef struct MINIDUMP_MISC_INFO_5 {
	ULONG32 SizeOfInfo;
	ULONG32 Flags1;
	ULONG32 ProcessId;
	ULONG32 ProcessCreateTime;
	ULONG32 ProcessUserTime;
	ULONG32 ProcessKernelTime;
	ULONG32 ProcessorMaxMhz;
	ULONG32 ProcessorCurrentMhz;
	ULONG32 ProcessorMhzLimit;
	ULONG32 ProcessorMaxIdleState;
	ULONG32 ProcessorCurrentIdleState;
	ULONG32 ProcessIntegrityLevel;
	ULONG32 ProcessExecuteFlags;
	ULONG32 ProtectedProcess;
	ULONG32 TimeZoneId;
	TIME_ZONE_INFORMATION TimeZone;
	WCHAR BuildString[MAX_PATH];
	WCHAR DbgBldStr[40];
	XSTATE_CONFIG_FEATURE_MSC_INFO XStateData;
	ULONG32 ProcessCookie;
} MINIDUMP_MISC_INFO_5, *PMINIDUMP_MISC_INFO_5;

/* Which fields of MINIDUMP_PROCESS_VM_COUNTERS_2 hold something. Source: minidumpapiset.h. */
#define MINIDUMP_PROCESS_VM_COUNTERS             0x0001
#define MINIDUMP_PROCESS_VM_COUNTERS_VIRTUALSIZE 0x0002
#define MINIDUMP_PROCESS_VM_COUNTERS_EX          0x0004
#define MINIDUMP_PROCESS_VM_COUNTERS_EX2         0x0008
#define MINIDUMP_PROCESS_VM_COUNTERS_JOB         0x0010

/* Bytes of memory of the process. Source: minidumpapiset.h. */
typedef struct MINIDUMP_PROCESS_VM_COUNTERS_2 {
	USHORT Revision;
	USHORT Flags;
	ULONG32 PageFaultCount;
	ULONG64 PeakWorkingSetSize;
	ULONG64 WorkingSetSize;
	ULONG64 QuotaPeakPagedPoolUsage;
	ULONG64 QuotaPagedPoolUsage;
	ULONG64 QuotaPeakNonPagedPoolUsage;
	ULONG64 QuotaNonPagedPoolUsage;
	ULONG64 PagefileUsage;
	ULONG64 PeakPagefileUsage;
	ULONG64 PeakVirtualSize;
	ULONG64 VirtualSize;
	ULONG64 PrivateUsage;
	ULONG64 PrivateWorkingSetSize;
	ULONG64 SharedCommitUsage;
	ULONG64 JobSharedCommitUsage;
	ULONG64 JobPrivateCommitUsage;
	ULONG64 JobPeakPrivateCommitUsage;
	ULONG64 JobPrivateCommitLimit;
	ULONG64 JobTotalCommitLimit;
} MINIDUMP_PROCESS_VM_COUNTERS_2, *PMINIDUMP_PROCESS_VM_COUNTERS_2;

/* The address space. Source: "MINIDUMP_MEMORY_INFO structure". */
typedef struct MINIDUMP_MEMORY_INFO {
	ULONG64 BaseAddress;
	ULONG64 AllocationBase;
	ULONG32 AllocationProtect;
	ULONG32 __alignment1;
	ULONG64 RegionSize;
	ULONG32 State;
	ULONG32 Protect;
	ULONG32 Type;
	ULONG32 __alignment2;
} MINIDUMP_MEMORY_INFO, *PMINIDUMP_MEMORY_INFO;

typedef struct MINIDUMP_MEMORY_INFO_LIST {
	ULONG SizeOfHeader;
	ULONG SizeOfEntry;
	ULONG64 NumberOfEntries;
} MINIDUMP_MEMORY_INFO_LIST, *PMINIDUMP_MEMORY_INFO_LIST;

/* DumpFlags of MINIDUMP_THREAD_INFO. */
#define MINIDUMP_THREAD_INFO_ERROR_THREAD    0x00000001
#define MINIDUMP_THREAD_INFO_WRITING_THREAD  0x00000002 /* it asked for the dump */
#define MINIDUMP_THREAD_INFO_EXITED_THREAD   0x00000004
#define MINIDUMP_THREAD_INFO_INVALID_INFO    0x00000008
#define MINIDUMP_THREAD_INFO_INVALID_CONTEXT 0x00000010
#define MINIDUMP_THREAD_INFO_INVALID_TEB     0x00000020

/* More of a thread; times in ticks of 100 ns. Source: "MINIDUMP_THREAD_INFO structure". */
typedef struct MINIDUMP_THREAD_INFO {
	ULONG32 ThreadId;
	ULONG32 DumpFlags; /* MINIDUMP_THREAD_INFO_* */
	ULONG32 DumpError;
	ULONG32 ExitStatus;
	ULONG64 CreateTime;
	ULONG64 ExitTime;
	ULONG64 KernelTime;
	ULONG64 UserTime;
	ULONG64 StartAddress; /* 0: Linux does not keep it */
	ULONG64 Affinity;
} MINIDUMP_THREAD_INFO, *PMINIDUMP_THREAD_INFO;

typedef struct MINIDUMP_THREAD_INFO_LIST {
	ULONG SizeOfHeader;
	ULONG SizeOfEntry;
	ULONG NumberOfEntries;
} MINIDUMP_THREAD_INFO_LIST, *PMINIDUMP_THREAD_INFO_LIST;

/* Names of threads. Source: minidumpapiset.h. */
typedef struct MINIDUMP_THREAD_NAME {
	ULONG ThreadId;
	RVA64 RvaOfThreadName;
} MINIDUMP_THREAD_NAME, *PMINIDUMP_THREAD_NAME;

typedef struct MINIDUMP_THREAD_NAME_LIST {
	ULONG NumberOfThreadNames;
	MINIDUMP_THREAD_NAME ThreadNames[];
} MINIDUMP_THREAD_NAME_LIST, *PMINIDUMP_THREAD_NAME_LIST;

#pragma GCC diagnostic pop
#pragma pack(pop)

#ifdef __cplusplus
}
#endif

#endif /* PSS_MINIDUMPFILE_H */
