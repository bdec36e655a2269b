#include "backends/cpu/kernels/gemm.h"

#include <algorithm>

#include "backends/cpu/kernels/implicit_gemm.h"
#include "base/error.h"

namespace tenon::cpu {
namespace {

constexpr int64_t kLineFloats = 16;

int64_t round_to_line(int64_t floats) { return (floats + kLineFloats - 1) / kLineFloats * kLineFloats; }

ImplicitGemm product_of(const GemmShape& shape, const Epilogue& epilogue, const GemmTactic& tactic, Isa isa) {
  ImplicitGemm product;
  product.m = shape.m;
  product.n = shape.n;
  product.k = shape.k;
  product.epilogue = epilogue;
  product.tactic = tactic;
  product.isa = isa;
  return product;
}

}  // namespace

size_t gemm_packed_size(int64_t k, int64_t n, Isa isa) {
  return static_cast<size_t>(round_to_line(PanelLayout(k, n, isa_kernels(isa).lanes).floats())) * sizeof(float);
}

void gemm_pack(const float* b, int64_t ldb, bool transposed, int64_t k, int64_t n, float* packed, Isa isa) {
  const PanelLayout layout(k, n, isa_kernels(isa).lanes);
  pack_panels(layout, isa_kernels(isa), b, ldb, transposed, 1.0f, packed);
  std::fill(packed + layout.floats(), packed + round_to_line(layout.floats()), 0.0f);
}

GemmPlan GemmPlan::make(const GemmShape& shape, const Epilogue& epilogue, const GemmTactic& tactic, Isa isa) {
  TENON_CHECK(shape.m >= 0 && shape.n >= 0 && shape.k >= 0);
  ImplicitGemm product = product_of(shape, epilogue, tactic, isa);
  choose_tactic(product);
  GemmPlan plan;
  plan.shape_ = shape;
  plan.epilogue_ = epilogue;
  plan.tactic_ = product.tactic;
  plan.isa_ = isa;
  return plan;
}

size_t GemmPlan::scratch_size(int threads) const {
  return cpu::scratch_size(product_of(shape_, epilogue_, tactic_, isa_), threads);
}

void GemmPlan::run(const GemmArgs& args, ThreadTeam& team) const {
  cpu::run(product_of(shape_, epilogue_, tactic_, isa_), args, team);
}

std::vector<GemmTactic> gemm_tactics(const GemmShape& shape, Isa isa) {
  std::vector<GemmTactic> tactics;
  const auto add = [&](GemmTactic tactic) {
    tactic = GemmPlan::make(shape, {}, tactic, isa).tactic();
    if (std::find(tactics.begin(), tactics.end(), tactic) == tactics.end()) tactics.push_back(tactic);
  };
  add({});
  add({.pack_a = kCopyTiles});
  for (int32_t m_block : {1, 1024}) add({.m_block = m_block});
  return tactics;
}

// --- both sides at run time ---

BatchedGemmPlan BatchedGemmPlan::make(const BatchedGemmShape& shape, const Epilogue& epilogue, Isa isa) {
  TENON_CHECK(shape.batch0 >= 0 && shape.batch1 >= 0 && shape.m >= 0 && shape.n >= 0 && shape.k >= 0);
  constexpr int64_t kTasks = 16, kRowsWorthPacking = 128;
  BatchedGemmPlan plan;
  plan.shape_ = shape;
  plan.epilogue_ = epilogue;
  plan.isa_ = isa;
  const int64_t batch = std::max<int64_t>(1, shape.batch0 * shape.batch1);
  if (batch < kTasks) plan.m_shares_ = std::clamp<int64_t>(shape.m / kRowsWorthPacking, 1, (kTasks + batch - 1) / batch);
  return plan;
}

size_t BatchedGemmPlan::scratch_size(int threads) const {
  const IsaKernels& kernels = isa_kernels(isa_);
  const int64_t b = static_cast<int64_t>(gemm_packed_size(shape_.k, shape_.n, isa_) / sizeof(float));
  const int64_t a = shape_.transpose_a ? round_to_line(shape_.k) * kernels.max_rows[1] : 0;
  return static_cast<size_t>(a + b) * sizeof(float) * static_cast<size_t>(threads);
}

namespace {

// One product of the batch: packs its B, then multiplies the row tiles [tile0, tile1).
void run_one(const BatchedGemmShape& shape, const TileEpilogue& epilogue, const IsaKernels& kernels,
             const BatchedGemmArgs& args, const RowTiles& tiles, int64_t tile0, int64_t tile1, float* scratch) {
  const PanelLayout panels(shape.k, shape.n, kernels.lanes);
  pack_panels(panels, kernels, args.b, args.ldb, shape.transpose_b, shape.scale, scratch);
  float* copied = scratch + round_to_line(panels.floats());
  TileArgs tile;
  tile.segment_length = shape.k;
  tile.a_stride = shape.transpose_a ? round_to_line(shape.k) : args.lda;
  tile.c_stride = args.ldc;
  tile.residual_stride = args.ldr;
  tile.low = epilogue.low;
  tile.high = epilogue.high;
  tile.residual_last = epilogue.whole.residual == ResidualPlace::kAfterActivation;
  for (int64_t t = tile0; t < tile1; ++t) {
    const int64_t row = tiles.begin(t), rows = tiles.begin(t + 1) - row;
    tile.a = shape.transpose_a ? copied : args.a + row * args.lda;
    if (shape.transpose_a) kernels.transpose(args.a + row, args.lda, shape.k, rows, 1.0f, copied, tile.a_stride);
    for (int64_t panel = 0; panel < panels.count(); ++panel) {
      const int64_t column = panel * 2 * panels.lanes;
      const float* residual = args.residual ? args.residual + row * args.ldr + column : nullptr;
      tile.b = scratch + panels.offset(panel);
      tile.c = args.c + row * args.ldc + column;
      tile.columns = panels.columns(panel);
      tile.bias = args.bias ? args.bias + column : nullptr;
      tile.residual = epilogue.residual_in_kernel ? residual : nullptr;
      kernels.tile[panels.vectors(panel)][rows](tile);
      if (epilogue.in_kernel) continue;
      kernels.activate(epilogue.whole, tile.c, args.ldc, rows, tile.columns,
                       epilogue.residual_in_kernel ? nullptr : residual, args.ldr);
    }
  }
}

}  // namespace

void BatchedGemmPlan::run(const BatchedGemmArgs& args, ThreadTeam& team) const {
  if (shape_.m == 0 || shape_.n == 0 || shape_.batch0 == 0 || shape_.batch1 == 0) return;
  const IsaKernels& kernels = isa_kernels(isa_);
  const RowTiles tiles(shape_.m, shape_.m, kernels.max_rows[shape_.n <= kernels.lanes ? 1 : 2]);
  const TileEpilogue epilogue(epilogue_);
  const size_t slot_bytes = scratch_size(1);
  const int64_t m_shares = std::min(m_shares_, tiles.count);
  team.parallel(static_cast<int>(shape_.batch0 * shape_.batch1 * m_shares), [&](int share) {
    const int64_t ms = share % m_shares, i1 = share / m_shares % shape_.batch1, i0 = share / m_shares / shape_.batch1;
    BatchedGemmArgs one = args;
    one.a += i0 * args.a_batch0 + i1 * args.a_batch1;
    one.b += i0 * args.b_batch0 + i1 * args.b_batch1;
    one.c += i0 * args.c_batch0 + i1 * args.c_batch1;
    if (epilogue_.residual == ResidualPlace::kNone) one.residual = nullptr;
    if (one.residual) one.residual += i0 * args.residual_batch0 + i1 * args.residual_batch1;
    float* scratch = static_cast<float*>(args.scratch) + static_cast<int64_t>(slot_bytes / sizeof(float)) * team.slot();
    run_one(shape_, epilogue, kernels, one, tiles, ms * tiles.count / m_shares, (ms + 1) * tiles.count / m_shares, scratch);
  });
}

}  // namespace tenon::cpu
