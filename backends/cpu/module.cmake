# Own kernels are built for SSE4, AVX2 and AVX-512 from one source with Highway (headers only) and picked at run time.
target_compile_definitions(tenon_backend_cpu PRIVATE HWY_BASELINE_TARGETS=HWY_SSE4)
# Plain loops that the compiler turns into vectors.
set_source_files_properties(
  backends/cpu/kernels/cast.cc backends/cpu/kernels/elementwise.cc PROPERTIES COMPILE_OPTIONS -O3)
