/* Stands in for CUDA's libraries, so that the genuine CUDA provider of ONNX Runtime can be loaded without them.
 *
 * There is one device of compute capability 8.0, whose memory is the host's: allocations and copies are real, kernels
 * do nothing. Which nodes the provider takes, which options it knows and states, and how values are bound and copied
 * is thereby its own doing; outputs mean nothing.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define GIB (1UL << 30)
#define HANDLE ((void *)16)
/* Where struct cudaDeviceProp of CUDA 13 has what the provider reads (driver_types.h). */
#define NAME 0
#define TOTAL_MEMORY 288
#define SHARED_MEMORY 296
#define REGISTERS 304
#define WARP_SIZE 308
#define THREADS 320
#define MAJOR 360
#define MINOR 364
#define PROCESSORS 388
#define PROPERTIES 800
/* cudaDevAttrComputeCapabilityMajor and Minor. */
#define ATTRIBUTE_MAJOR 75
#define ATTRIBUTE_MINOR 76

static void put(char *at, int value) { memcpy(at, &value, sizeof value); }

int cudaGetDeviceCount(int *count) { *count = 1; return 0; }
int cudaGetDevice(int *device) { *device = 0; return 0; }

int cudaGetDeviceProperties(char *found, int device)
{
    size_t memory = 80 * GIB, shared = 49152;
    (void)device;
    memset(found, 0, PROPERTIES);
    strcpy(found + NAME, "a GPU");
    memcpy(found + TOTAL_MEMORY, &memory, sizeof memory);
    memcpy(found + SHARED_MEMORY, &shared, sizeof shared);
    put(found + REGISTERS, 65536);
    put(found + WARP_SIZE, 32);
    put(found + THREADS, 1024);
    put(found + MAJOR, 8);
    put(found + MINOR, 0);
    put(found + PROCESSORS, 108);
    return 0;
}

int cudaDeviceGetAttribute(int *value, int attribute, int device)
{
    (void)device;
    *value = attribute == ATTRIBUTE_MAJOR ? 8 : attribute == ATTRIBUTE_MINOR ? 0 : 1;
    return 0;
}

static int give(void **memory, size_t size) { *memory = calloc(1, size ? size : 1); return 0; }
int cudaMalloc(void **memory, size_t size) { return give(memory, size); }
int cudaMallocHost(void **memory, size_t size) { return give(memory, size); }
int cudaHostAlloc(void **memory, size_t size, unsigned flags) { (void)flags; return give(memory, size); }
int cudaFree(void *memory) { free(memory); return 0; }
int cudaFreeHost(void *memory) { free(memory); return 0; }

static int copy(void *to, const void *from, size_t size) { memcpy(to, from, size); return 0; }
int cudaMemcpy(void *to, const void *from, size_t size, int kind) { (void)kind; return copy(to, from, size); }
int cudaMemcpyAsync(void *to, const void *from, size_t size, int kind, void *stream)
{
    (void)kind, (void)stream;
    return copy(to, from, size);
}
int cudaMemset(void *at, int value, size_t size) { memset(at, value, size); return 0; }
int cudaMemsetAsync(void *at, int value, size_t size, void *stream)
{
    (void)stream;
    memset(at, value, size);
    return 0;
}
int cudaMemGetInfo(size_t *spare, size_t *total) { *spare = 70 * GIB; *total = 80 * GIB; return 0; }

static int handle(void **made) { *made = HANDLE; return 0; }
int cudaStreamCreate(void **made) { return handle(made); }
int cudaStreamCreateWithFlags(void **made, unsigned flags) { (void)flags; return handle(made); }
int cudaEventCreate(void **made) { return handle(made); }
int cudaEventCreateWithFlags(void **made, unsigned flags) { (void)flags; return handle(made); }
int cublasCreate_v2(void **made) { return handle(made); }
int cublasLtCreate(void **made) { return handle(made); }

int cudaRuntimeGetVersion(int *version) { *version = 13000; return 0; }
int cudaDriverGetVersion(int *version) { *version = 13000; return 0; }
int cudaPointerGetAttributes(char *found, const void *memory) { (void)memory; memset(found, 0, 32); return 0; }
const char *cudaGetErrorString(int error) { (void)error; return "no error"; }
const char *cudaGetErrorName(int error) { (void)error; return "cudaSuccess"; }

#define FUNCTION(name) long name(void) { return 0; }
