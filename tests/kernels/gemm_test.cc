#include "backends/cpu/kernels/gemm.h"

#include "kernels/reference.h"

namespace tenon::cpu {
namespace {

struct Case {
  int64_t m, n, k;
  bool transposed = false;
  int64_t pad_a = 0, pad_b = 0, pad_c = 0;  // added to the dense row strides
};

void expect_gemm(const Case& s, const Epilogue& epilogue, const GemmTactic& tactic, Isa isa, int threads) {
  const int64_t lda = s.k + s.pad_a, ldb = (s.transposed ? s.k : s.n) + s.pad_b, ldc = s.n + s.pad_c, ldr = s.n + 1;
  const auto a = random_values(static_cast<size_t>(s.m * lda + 1), 1);
  const auto b = random_values(static_cast<size_t>((s.transposed ? s.n : s.k) * ldb + 1), 2);
  const auto bias = random_values(static_cast<size_t>(s.n + 1), 3),
             residual = random_values(static_cast<size_t>(s.m * ldr + 1), 4);
  AlignedBuffer packed(gemm_packed_size(s.k, s.n, isa));
  gemm_pack(b.data(), ldb, s.transposed, s.k, s.n, packed.data(), isa);
  ThreadTeam team(threads);
  const GemmPlan plan = GemmPlan::make({s.m, s.n, s.k}, epilogue, tactic, isa);
  AlignedBuffer scratch(plan.scratch_size(threads));
  std::vector<float> c(static_cast<size_t>(s.m * ldc + 1), 77.0f);
  GemmArgs args{.a = a.data(),
                .lda = lda,
                .packed = packed.data(),
                .bias = bias.data(),
                .residual = residual.data(),
                .ldr = ldr,
                .c = c.data(),
                .ldc = ldc,
                .scratch = scratch.data()};
  plan.run(args, team);
  for (int64_t i = 0; i < s.m; ++i) {
    for (int64_t j = 0; j < ldc; ++j) {
      const float found = c[static_cast<size_t>(i * ldc + j)];
      if (j >= s.n) {
        ASSERT_EQ(found, 77.0f) << "wrote outside at " << i << "," << j;
        continue;
      }
      double sum = bias[static_cast<size_t>(j)];
      for (int64_t k = 0; k < s.k; ++k) {
        sum += static_cast<double>(a[static_cast<size_t>(i * lda + k)]) *
               b[static_cast<size_t>(s.transposed ? j * ldb + k : k * ldb + j)];
      }
      const double wanted = reference_epilogue(epilogue, sum, residual[static_cast<size_t>(i * ldr + j)]);
      ASSERT_NEAR(found, wanted, 3e-6 * (1 + std::fabs(wanted)) * (4 + std::sqrt(static_cast<double>(s.k))))
          << s.m << "x" << s.n << "x" << s.k << " at " << i << "," << j << " " << describe(epilogue, isa);
    }
  }
}

TEST(Gemm, MatchesLoopsForOddShapes) {
  for (Isa isa : runnable_isas()) {
    for (int64_t m : {0, 1, 2, 5, 13, 14, 15, 29, 57}) {
      for (int64_t n : {0, 1, 3, 8, 15, 16, 17, 31, 33, 64, 97}) {
        for (int64_t k : {0, 1, 2, 7, 33}) expect_gemm({m, n, k}, {}, {}, isa, 1);
      }
    }
  }
}

TEST(Gemm, MatchesLoopsForStridesAndTransposedB) {
  for (Isa isa : runnable_isas()) {
    for (bool transposed : {false, true}) {
      expect_gemm({31, 45, 19, transposed, 3, 5, 7}, {}, {}, isa, 2);
      expect_gemm({1, 70, 600, transposed, 0, 1, 0}, {}, {}, isa, 2);
      expect_gemm({130, 200, 1100, transposed, 4, 0, 9}, {}, {}, isa, 3);
    }
  }
}

TEST(Gemm, AppliesEveryEpilogue) {
  for (Isa isa : runnable_isas()) {
    for (const Epilogue& epilogue : all_epilogues()) {
      expect_gemm({17, 37, 9}, epilogue, {}, isa, 1);
      expect_gemm({16, 16, 40}, epilogue, {.k_block = 16}, isa, 2);
    }
  }
}

TEST(Gemm, EveryTacticIsCorrect) {
  const Epilogue epilogue{.activation = Activation::kRelu, .residual = ResidualPlace::kBeforeActivation};
  for (Isa isa : runnable_isas()) {
    for (const GemmTactic& tactic : gemm_tactics({61, 150, 700}, isa)) expect_gemm({61, 150, 700}, epilogue, tactic, isa, 2);
    expect_gemm({61, 150, 700}, epilogue, {.m_shares = 3, .n_shares = 2}, isa, 2);
    expect_gemm({61, 150, 700}, epilogue, {.m_shares = 100, .n_shares = 100}, isa, 2);
  }
}

TEST(Gemm, IsBitEqualForAnyTeam) {
  const GemmShape shape{150, 130, 333};
  const auto a = random_values(150 * 333, 1), b = random_values(333 * 130, 2);
  AlignedBuffer packed(gemm_packed_size(shape.k, shape.n));
  gemm_pack(b.data(), shape.n, false, shape.k, shape.n, packed.data());
  const GemmPlan plan = GemmPlan::make(shape, {});
  std::vector<float> first;
  for (int threads : {1, 2, 5}) {
    ThreadTeam team(threads);
    AlignedBuffer scratch(plan.scratch_size(threads));
    std::vector<float> c(150 * 130);
    plan.run({.a = a.data(), .lda = 333, .packed = packed.data(), .c = c.data(), .ldc = 130, .scratch = scratch.data()},
             team);
    if (first.empty()) first = c;
    EXPECT_EQ(first, c);
  }
}

TEST(Gemm, PassesNanThroughClips) {
  const float a = std::numeric_limits<float>::quiet_NaN(), b[3] = {1, 1, 1};
  for (Isa isa : runnable_isas()) {
    for (const Epilogue& epilogue : all_epilogues()) {
      AlignedBuffer packed(gemm_packed_size(1, 3, isa));
      gemm_pack(b, 3, false, 1, 3, packed.data(), isa);
      ThreadTeam team(1);
      float c[3] = {0, 0, 0}, residual[3] = {1, 1, 1};
      GemmPlan::make({1, 3, 1}, epilogue, {.pack_a = 0}, isa)
          .run({.a = &a, .lda = 1, .packed = packed.data(), .residual = residual, .ldr = 3, .c = c, .ldc = 3}, team);
      EXPECT_TRUE(std::isnan(c[0]) && std::isnan(c[2])) << describe(epilogue, isa);
    }
  }
}

TEST(Gemm, ActivationsAreAccurateOverTheirRange) {
  std::vector<float> x;
  for (float v = -110; v < 95; v += 0.0137f) x.push_back(v);
  for (float v : {0.0f, 1e-8f, -1e-8f, 1e-4f, -1e-4f, 1e30f, -1e30f}) x.push_back(v);
  const int64_t m = static_cast<int64_t>(x.size());
  const float one = 1;
  for (Isa isa : runnable_isas()) {
    AlignedBuffer packed(gemm_packed_size(1, 1, isa));
    gemm_pack(&one, 1, false, 1, 1, packed.data(), isa);
    for (const Epilogue& epilogue : all_epilogues()) {
      if (epilogue.residual != ResidualPlace::kNone) continue;
      std::vector<float> c(x.size());
      ThreadTeam team(1);
      GemmPlan::make({m, 1, 1}, epilogue, {.pack_a = 0}, isa)
          .run({.a = x.data(), .lda = 1, .packed = packed.data(), .c = c.data(), .ldc = 1}, team);
      for (size_t i = 0; i < x.size(); ++i) {
        const float wanted = static_cast<float>(reference_activation(epilogue, static_cast<double>(x[i])));
        const double size = std::fabs(static_cast<double>(wanted));
        if (std::isinf(wanted)) {
          EXPECT_EQ(c[i], wanted) << x[i] << " " << describe(epilogue, isa);
        } else {
          // GELU's tail is a difference of nearly equal numbers: units of x, not of the result.
          const double x_units = epilogue.activation == Activation::kGeluErf ? 2e-7 * std::fmin(6, std::fabs(x[i])) : 0;
          ASSERT_NEAR(c[i], wanted, 2e-6 * size + 3e-7 * std::fmin(1, std::fabs(x[i])) + x_units + 1e-44)
              << x[i] << " " << describe(epilogue, isa);
        }
      }
    }
  }
}

struct BatchedCase {
  int64_t batch0, batch1, m, n, k;
  bool transpose_a, transpose_b;
};

void expect_batched(const BatchedCase& s, const Epilogue& epilogue, Isa isa, int threads) {
  // Heads lie side by side, as in an attention layer: index 1 moves along the row.
  const int64_t a_rows = s.transpose_a ? s.k : s.m, a_columns = s.transpose_a ? s.m : s.k;
  const int64_t b_rows = s.transpose_b ? s.n : s.k, b_columns = s.transpose_b ? s.k : s.n;
  const int64_t lda = s.batch1 * a_columns, ldb = s.batch1 * b_columns, ldc = s.batch1 * s.n;
  const auto a = random_values(static_cast<size_t>(s.batch0 * a_rows * lda + 1), 1);
  const auto b = random_values(static_cast<size_t>(s.batch0 * b_rows * ldb + 1), 2);
  const auto residual = random_values(static_cast<size_t>(s.batch0 * s.m * ldc + 1), 3);
  std::vector<float> c(static_cast<size_t>(s.batch0 * s.m * ldc + 1));
  const BatchedGemmShape shape{s.batch0, s.batch1, s.m, s.n, s.k, s.transpose_a, s.transpose_b, 0.125f};
  const BatchedGemmPlan plan = BatchedGemmPlan::make(shape, epilogue, isa);
  ThreadTeam team(threads);
  AlignedBuffer scratch(plan.scratch_size(threads));
  BatchedGemmArgs args{.a = a.data(),
                       .lda = lda,
                       .a_batch0 = a_rows * lda,
                       .a_batch1 = a_columns,
                       .b = b.data(),
                       .ldb = ldb,
                       .b_batch0 = b_rows * ldb,
                       .b_batch1 = b_columns,
                       .residual = residual.data(),
                       .ldr = ldc,
                       .residual_batch0 = s.m * ldc,
                       .residual_batch1 = s.n,
                       .c = c.data(),
                       .ldc = ldc,
                       .c_batch0 = s.m * ldc,
                       .c_batch1 = s.n,
                       .scratch = scratch.data()};
  plan.run(args, team);
  for (int64_t i0 = 0; i0 < s.batch0; ++i0) {
    for (int64_t i1 = 0; i1 < s.batch1; ++i1) {
      for (int64_t i = 0; i < s.m; ++i) {
        for (int64_t j = 0; j < s.n; ++j) {
          double sum = 0;
          for (int64_t k = 0; k < s.k; ++k) {
            const int64_t ai = s.transpose_a ? k * lda + i : i * lda + k, bi = s.transpose_b ? j * ldb + k : k * ldb + j;
            sum += static_cast<double>(a[static_cast<size_t>(i0 * a_rows * lda + i1 * a_columns + ai)]) *
                   b[static_cast<size_t>(i0 * b_rows * ldb + i1 * b_columns + bi)];
          }
          const size_t at = static_cast<size_t>(i0 * s.m * ldc + i1 * s.n + i * ldc + j);
          ASSERT_NEAR(c[at], reference_epilogue(epilogue, 0.125 * sum, residual[at]), 2e-5)
              << s.m << "x" << s.n << "x" << s.k << describe(epilogue, isa);
        }
      }
    }
  }
}

TEST(BatchedGemm, MatchesLoops) {
  for (Isa isa : runnable_isas()) {
    for (bool transpose_a : {false, true}) {
      for (bool transpose_b : {false, true}) {
        expect_batched({2, 3, 33, 37, 20, transpose_a, transpose_b}, {}, isa, 2);
        expect_batched({1, 1, 300, 16, 65, transpose_a, transpose_b}, {}, isa, 2);
        expect_batched({2, 1, 1, 40, 1, transpose_a, transpose_b}, {}, isa, 1);
        expect_batched({0, 1, 1, 1, 1, transpose_a, transpose_b}, {}, isa, 1);
        expect_batched({1, 2, 5, 7, 0, transpose_a, transpose_b}, {}, isa, 1);
      }
    }
    for (const Epilogue& epilogue : all_epilogues()) expect_batched({1, 2, 15, 33, 8, false, true}, epilogue, isa, 1);
  }
}

}  // namespace
}  // namespace tenon::cpu
