#include "backends/cpu/kernels/winograd.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "backends/cpu/kernels/implicit_gemm.h"

namespace tenon::cpu {
namespace {

constexpr int64_t kFrequencies = 36, kTile = 4, kWindow = 6, kLine = 16;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
int64_t dense(int64_t stride, int64_t channels) { return stride ? stride : channels; }

// Rows of transformed pixels: whole vectors, off the powers of two.
int64_t row_floats(int64_t channels) { return ceil_div(channels, kLine) * kLine + kLine; }

// How the tiles of all images are worked through: in blocks, whose frequencies lie in scratch. A block is one task's
// (`alone`), or all tasks share its three steps.
struct Blocks {
  Blocks(const Conv2dParams& p, const WinogradShape& s, const IsaKernels& kernels) {
    tiles = s.batch * ceil_div(s.out_h, kTile) * ceil_div(s.out_w, kTile);
    const int64_t l2 = cpu_info().l2_bytes,
                  tile_bytes = kFrequencies * (row_floats(p.input_channels) + row_floats(p.output_channels)) * 4;
    const int64_t weights = kFrequencies * p.input_channels * p.output_channels * 4;
    const int64_t rows = kernels.max_rows[2], few = rows * ceil_div(12, rows);  // enough to use a panel of weights well
    alone = weights <= l2 * 5 / 8 && tiles >= 4 * few;
    const int64_t most = alone ? few : std::max<int64_t>(few, 4 * l2 / tile_bytes);
    count = std::max<int64_t>(1, ceil_div(tiles, most));
    largest = ceil_div(tiles, count);
  }
  int64_t begin(int64_t block) const { return block * tiles / count; }

  int64_t tiles, count, largest;
  bool alone;
};

int64_t block_floats(const Conv2dParams& p, const Blocks& blocks) {
  return kFrequencies * (blocks.largest * (row_floats(p.input_channels) + row_floats(p.output_channels)) + 2 * kLine);
}

// The steps on a block of tiles [tile0, tile1), for parts of it.
class Steps {
 public:
  Steps(const Conv2dParams& p, const WinogradShape& s, const IsaKernels& kernels, const Conv2dArgs& args, int64_t tile0,
        int64_t tile1, float* scratch)
      : p_(p),
        s_(s),
        kernels_(kernels),
        args_(args),
        epilogue_(p.epilogue),
        tile0_(tile0),
        tiles_(tile1 - tile0),
        in_row_(row_floats(p.input_channels)),
        out_row_(row_floats(p.output_channels)),
        in_stride_(tiles_ * in_row_ + kLine),
        out_stride_(tiles_ * out_row_ + kLine),
        in_(scratch),
        out_(scratch + kFrequencies * in_stride_) {}

  int64_t tiles() const { return tiles_; }

  void transform_inputs(int64_t begin, int64_t end) const {
    const int64_t pixel = dense(p_.input_stride, p_.input_channels);
    WinogradInput w;
    w.pixel_stride = pixel;
    w.line_stride = s_.in_w * pixel;
    w.channels = p_.input_channels;
    w.frequency_stride = in_stride_;
    for (int64_t t = begin; t < end; ++t) {
      const Place at = place(t);
      const int64_t y = at.y - p_.pad_top, x = at.x - p_.pad_left;
      w.in = args_.input + ((at.image * s_.in_h + y) * s_.in_w + x) * pixel;
      w.row0 = std::max<int64_t>(0, -y);
      w.row1 = std::min<int64_t>(kWindow, s_.in_h - y);
      w.column0 = std::max<int64_t>(0, -x);
      w.column1 = std::min<int64_t>(kWindow, s_.in_w - x);
      w.out = in_ + t * in_row_;
      kernels_.winograd_input(w);
    }
  }

  void multiply(int64_t frequency) const {
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    const PanelLayout panels(p_.input_channels, p_.output_channels, kernels_.lanes);
    const RowTiles rows(tiles_, tiles_, kernels_.max_rows[p_.output_channels <= kernels_.lanes ? 1 : 2]);
    const int64_t packed =
        static_cast<int64_t>(gemm_packed_size(p_.input_channels, p_.output_channels, kernels_.isa) / sizeof(float));
    TileArgs tile;
    tile.a_stride = in_row_;
    tile.segment_length = p_.input_channels;
    tile.c_stride = out_row_;
    tile.low = -kInfinity;
    tile.high = kInfinity;
    for (int64_t panel = 0; panel < panels.count(); ++panel) {
      tile.b = args_.packed + frequency * packed + panels.offset(panel);
      tile.columns = panels.columns(panel);
      for (int64_t t = 0; t < rows.count; ++t) {
        const int64_t row = rows.begin(t);
        tile.a = in_ + frequency * in_stride_ + row * in_row_;
        tile.c = out_ + frequency * out_stride_ + row * out_row_ + panel * 2 * panels.lanes;
        kernels_.tile[panels.vectors(panel)][rows.begin(t + 1) - row](tile);
      }
    }
  }

  void transform_outputs(int64_t begin, int64_t end) const {
    const int64_t pixel = dense(p_.output_stride, p_.output_channels);
    const bool has_residual = args_.residual && p_.epilogue.residual != ResidualPlace::kNone;
    const bool fused = epilogue_.in_kernel && !has_residual;
    WinogradOutput w;
    w.frequency_stride = out_stride_;
    w.channels = p_.output_channels;
    w.bias = args_.bias;
    w.low = fused ? epilogue_.low : -std::numeric_limits<float>::infinity();
    w.high = fused ? epilogue_.high : std::numeric_limits<float>::infinity();
    w.pixel_stride = pixel;
    w.line_stride = s_.out_w * pixel;
    for (int64_t t = begin; t < end; ++t) {
      const Place at = place(t);
      const int64_t first = (at.image * s_.out_h + at.y) * s_.out_w + at.x;
      w.in = out_ + t * out_row_;
      w.out = args_.output + first * pixel;
      w.rows = std::min(kTile, s_.out_h - at.y);
      w.columns = std::min(kTile, s_.out_w - at.x);
      kernels_.winograd_output(w);
      if (!fused) finish(w, first, has_residual);
    }
  }

 private:
  struct Place {
    int64_t image, y, x;  // of the tile's first output
  };

  Place place(int64_t t) const {
    const int64_t across = ceil_div(s_.out_w, kTile), down = ceil_div(s_.out_h, kTile), tile = tile0_ + t;
    return {tile / across / down, tile / across % down * kTile, tile % across * kTile};
  }

  void finish(const WinogradOutput& w, int64_t first, bool has_residual) const {
    const int64_t stride = dense(p_.residual_stride, p_.output_channels);
    for (int64_t row = 0; row < w.rows; ++row) {
      const float* residual = has_residual ? args_.residual + (first + row * s_.out_w) * stride : nullptr;
      kernels_.activate(p_.epilogue, w.out + row * w.line_stride, w.pixel_stride, w.columns, w.channels, residual, stride);
    }
  }

  const Conv2dParams& p_;
  const WinogradShape& s_;
  const IsaKernels& kernels_;
  const Conv2dArgs& args_;
  TileEpilogue epilogue_;
  int64_t tile0_, tiles_, in_row_, out_row_, in_stride_, out_stride_;
  float *in_, *out_;
};

// G g G^T for `columns` neighbouring output channels of one input channel; filters of neighbouring taps lie `tap` apart. The 36
// results go to `to`, `step` apart. In float64: plans are made once.
constexpr int64_t kColumns = 16;

void transform_filters(const float* g, int64_t tap, int64_t columns, float* to, int64_t step) {
  const double a = std::sqrt(0.5), b = std::sqrt(2.0), na = 2 * 0.5 * (0.5 - 2.0), nb = 2 * 2.0 * (2.0 - 0.5);
  const double G[kWindow][3] = {{1, 0, 0},
                                {1 / na, a / na, 0.5 / na},
                                {1 / na, -a / na, 0.5 / na},
                                {1 / nb, b / nb, 2.0 / nb},
                                {1 / nb, -b / nb, 2.0 / nb},
                                {0, 0, 1}};
  double taps[3][3][kColumns] = {}, half[3][kColumns];
  for (int y = 0; y < 3; ++y) {
    for (int x = 0; x < 3; ++x) {
      for (int64_t c = 0; c < columns; ++c) taps[y][x][c] = g[(y * 3 + x) * tap + c];
    }
  }
  for (int i = 0; i < kWindow; ++i) {
    for (int x = 0; x < 3; ++x) {
      for (int64_t c = 0; c < kColumns; ++c) half[x][c] = G[i][0] * taps[0][x][c] + G[i][1] * taps[1][x][c] + G[i][2] * taps[2][x][c];
    }
    for (int j = 0; j < kWindow; ++j) {
      float sums[kColumns];
      for (int64_t c = 0; c < kColumns; ++c) {
        sums[c] = static_cast<float>(G[j][0] * half[0][c] + G[j][1] * half[1][c] + G[j][2] * half[2][c]);
      }
      std::copy_n(sums, columns, to + (i * kWindow + j) * step);
    }
  }
}

}  // namespace

size_t winograd_packed_size(const Conv2dParams& p, Isa isa) {
  return kFrequencies * gemm_packed_size(p.input_channels, p.output_channels, isa);
}

void winograd_pack(const Conv2dParams& p, const float* hwio, float* packed, Isa isa) {
  const PanelLayout panels(p.input_channels, p.output_channels, isa_kernels(isa).lanes);
  const auto step = static_cast<int64_t>(gemm_packed_size(p.input_channels, p.output_channels, isa) / sizeof(float));
  ThreadTeam team(0);
  team.parallel(static_cast<int>(panels.count()), [&](int panel) {
    const int64_t first = panel * 2 * panels.lanes, width = panels.vectors(panel) * panels.lanes;
    for (int64_t row = 0; row < p.input_channels; ++row) {
      float* to = packed + panels.offset(panel) + row * width;
      for (int64_t c = 0; c < panels.columns(panel); c += kColumns) {
        transform_filters(hwio + row * p.output_channels + first + c, p.input_channels * p.output_channels,
                          std::min(kColumns, panels.columns(panel) - c), to + c, step);
      }
      for (int64_t f = 0; f < kFrequencies; ++f) std::fill(to + f * step + panels.columns(panel), to + f * step + width, 0.0f);
    }
  });
}

size_t winograd_scratch_size(const Conv2dParams& p, const WinogradShape& s, Isa isa, int threads) {
  const Blocks blocks(p, s, isa_kernels(isa));
  return static_cast<size_t>(block_floats(p, blocks)) * sizeof(float) * static_cast<size_t>(blocks.alone ? threads : 1);
}

void winograd_run(const Conv2dParams& p, const WinogradShape& s, Isa isa, const Conv2dArgs& args, ThreadTeam& team) {
  constexpr int64_t kTransformTasks = 12;
  const IsaKernels& kernels = isa_kernels(isa);
  const Blocks blocks(p, s, kernels);
  if (blocks.tiles == 0 || p.output_channels == 0) return;
  float* scratch = static_cast<float*>(args.scratch);
  const auto steps_of = [&](int64_t block, float* memory) {
    return Steps(p, s, kernels, args, blocks.begin(block), blocks.begin(block + 1), memory);
  };
  if (blocks.alone) {
    team.parallel(static_cast<int>(blocks.count), [&](int block) {
      const Steps steps = steps_of(block, scratch + team.slot() * block_floats(p, blocks));
      steps.transform_inputs(0, steps.tiles());
      for (int64_t f = 0; f < kFrequencies; ++f) steps.multiply(f);
      steps.transform_outputs(0, steps.tiles());
    });
    return;
  }
  for (int64_t block = 0; block < blocks.count; ++block) {
    const Steps steps = steps_of(block, scratch);
    const int64_t n = steps.tiles(), parts = std::min(n, kTransformTasks);
    team.parallel(static_cast<int>(parts), [&](int i) { steps.transform_inputs(i * n / parts, (i + 1) * n / parts); });
    team.parallel(static_cast<int>(kFrequencies), [&](int f) { steps.multiply(f); });
    team.parallel(static_cast<int>(parts), [&](int i) { steps.transform_outputs(i * n / parts, (i + 1) * n / parts); });
  }
}

}  // namespace tenon::cpu
