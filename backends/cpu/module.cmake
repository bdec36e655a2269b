# Own kernels are built for SSE4, AVX2 and AVX-512 from one source with Highway (headers only) and picked at run time.
target_compile_definitions(tenon_backend_cpu PRIVATE HWY_BASELINE_TARGETS=HWY_SSE4)
# Loops that the compiler unrolls, or turns into vectors.
foreach(source attention_head cast elementwise elementwise_steps layer_norm pool reduce_steps resize softmax strided_copy transpose)
  set_source_files_properties(backends/cpu/kernels/${source}.cc PROPERTIES COMPILE_OPTIONS "${TENON_HOT}")
endforeach()

# One source per instruction set; which one runs is chosen at run time (base/cpu_info.h).
set(kernels ${CMAKE_CURRENT_SOURCE_DIR}/backends/cpu/kernels)
set_source_files_properties(${kernels}/isa_generic.cc PROPERTIES COMPILE_OPTIONS "${TENON_HOT}")
set_source_files_properties(${kernels}/isa_avx2.cc PROPERTIES COMPILE_OPTIONS "${TENON_HOT};-mavx2;-mfma")
set_source_files_properties(${kernels}/isa_avx512.cc PROPERTIES COMPILE_OPTIONS "${TENON_HOT};-mavx512f;-mavx512bw;-mavx512dq;-mavx512vl;-mavx2;-mfma;-mprefer-vector-width=512")
