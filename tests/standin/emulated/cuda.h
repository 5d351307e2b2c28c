// What the library's CUDA source needs, on a CPU. The threads of a block are run in turn: each has
// a stack of its own and gives way at a barrier, or where a warp exchanges numbers.
#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <vector>

using std::abs, std::erf, std::exp, std::expm1, std::fabs, std::fma, std::fmax, std::fmin, std::isfinite,
    std::isnan, std::log, std::log1p, std::max, std::min, std::pow, std::sqrt, std::tanh;

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __restrict__
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
#define __shared__ static

struct Place {
    unsigned x, y, z;
};
static Place threadIdx, blockIdx, blockDim, gridDim;

struct float2 {
    float x, y;
};
struct __align__(16) float4 {
    float x, y, z, w;
};
struct __align__(16) double2 {
    double x, y;
};

enum State { RUNS, AT_BARRIER, IN_WARP, DONE };
struct Thread {
    ucontext_t context;
    char* stack = nullptr;
    State state = DONE;
};
static std::vector<Thread> threads_(1024);
static ucontext_t scheduler_;
static int now_;

static void wait_(State state) {
    threads_[now_].state = state;
    swapcontext(&threads_[now_].context, &scheduler_);
}
static inline void __syncthreads() { wait_(AT_BARRIER); }
static inline void __syncwarp(unsigned = 0) { wait_(IN_WARP); }
static inline void __threadfence() {}

static double given_[1024];
template <class V>
static V exchange_(V value, int from) {
    static_assert(sizeof(V) <= sizeof(double), "a warp exchanges numbers");
    std::memcpy(&given_[now_], &value, sizeof value);
    wait_(IN_WARP);
    std::memcpy(&value, &given_[from], sizeof value);
    wait_(IN_WARP);
    return value;
}
template <class V>
static V __shfl_xor_sync(unsigned, V value, int mask) {
    return exchange_(value, now_ ^ mask);
}
template <class V>
static V __shfl_down_sync(unsigned, V value, int by) {
    return exchange_(value, now_ % 32 + by < 32 ? now_ + by : now_);
}
template <class V>
static V __shfl_sync(unsigned, V value, int lane) {
    return exchange_(value, now_ / 32 * 32 + lane);
}

template <class V>
static V __ldg(const V* p) {
    return *p;
}
static inline unsigned __umulhi(unsigned a, unsigned b) {
    return (unsigned)((unsigned long long)a * b >> 32);
}
static inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return (unsigned long long)((unsigned __int128)a * b >> 64);
}
template <class V>
static void sincospi(V x, V* sine, V* cosine) {
    *sine = (V)std::sin(M_PI * (double)x);
    *cosine = (V)std::cos(M_PI * (double)x);
}
static inline float rsqrt(float x) { return 1 / std::sqrt(x); }
static inline double rsqrt(double x) { return 1 / std::sqrt(x); }
static inline float rsqrtf(float x) { return 1 / std::sqrt(x); }

static void (*kernel_)(void**);
static void** arguments_;
static void begin_() {
    kernel_(arguments_);
    wait_(DONE);
}

// 0, or 1 if some threads of a block wait for others that never come.
static int run_block_(int n) {
    for (int i = 0; i < n; ++i) {
        Thread& thread = threads_[i];
        if (!thread.stack) thread.stack = (char*)std::malloc(1 << 16);
        getcontext(&thread.context);
        thread.context.uc_stack.ss_sp = thread.stack;
        thread.context.uc_stack.ss_size = 1 << 16;
        thread.context.uc_link = nullptr;
        makecontext(&thread.context, begin_, 0);
        thread.state = RUNS;
    }
    const auto release = [](int first, int end, State state) {
        bool waits = false;
        for (int i = first; i < end; ++i) {
            if (threads_[i].state == DONE) continue;
            if (threads_[i].state != state) return false;
            waits = true;
        }
        for (int i = first; waits && i < end; ++i)
            if (threads_[i].state == state) threads_[i].state = RUNS;
        return waits;
    };
    while (true) {
        bool moved = false;
        for (now_ = 0; now_ < n; ++now_) {
            if (threads_[now_].state != RUNS) continue;
            const unsigned i = now_, wide = blockDim.x, flat = blockDim.x * blockDim.y;
            threadIdx = {i % wide, i / wide % blockDim.y, i / flat};
            swapcontext(&scheduler_, &threads_[now_].context);
            moved = true;
        }
        for (int i = 0; i < n; i += 32) moved |= release(i, std::min(n, i + 32), IN_WARP);
        moved |= release(0, n, AT_BARRIER);
        if (!moved) break;
    }
    for (int i = 0; i < n; ++i)
        if (threads_[i].state != DONE) return 1;
    return 0;
}

// waits: whether threads of the kernel wait for each other. Else each runs to its end at once.
static int launch_(void (*kernel)(void**), const unsigned* grid, const unsigned* block, void** arguments,
                   bool waits) {
    kernel_ = kernel;
    arguments_ = arguments;
    gridDim = {grid[0], grid[1], grid[2]};
    blockDim = {block[0], block[1], block[2]};
    for (unsigned z = 0; z < grid[2]; ++z)
        for (unsigned y = 0; y < grid[1]; ++y)
            for (unsigned x = 0; x < grid[0]; ++x) {
                blockIdx = {x, y, z};
                if (!waits) {
                    for (unsigned k = 0; k < block[2]; ++k)
                        for (unsigned j = 0; j < block[1]; ++j)
                            for (unsigned i = 0; i < block[0]; ++i) {
                                threadIdx = {i, j, k};
                                kernel(arguments);
                            }
                } else if (run_block_(block[0] * block[1] * block[2])) return 1;
            }
    return 0;
}
