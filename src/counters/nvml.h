/* nvml.h: the six functions of NVIDIA's management library that are used. Internal.
 *
 * The library is looked for at run time. Its C interface is stable: status codes are ints with 0
 * for success, devices are opaque pointers, energy counts millijoules from the driver's start. */
#ifndef BG_NVML_H
#define BG_NVML_H

#include <stddef.h>

typedef struct bg_nvml_api {
    int (*init)(void);
    int (*shutdown)(void);
    int (*count)(unsigned *n);
    int (*handle)(unsigned index, void **device);
    int (*energy)(void *device, unsigned long long *millijoules);
    const char *(*error)(int status);
} bg_nvml_api;

/* Joules of all devices since the driver was loaded. On failure NaN, and the reason is written. */
double bg_nvml_joules(const bg_nvml_api *api, char *reason, size_t n);

#endif
