#include "backends/cpu/kernels/implicit_gemm.h"

#include <algorithm>
#include <cstring>

namespace tenon::cpu {
namespace {

constexpr int64_t kAlignFloats = 16;
constexpr int64_t kLargestCopyFloats = int64_t{1} << 20;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }

int tile_rows(const ImplicitGemm& p, const IsaKernels& kernels) { return kernels.max_rows[p.n <= kernels.lanes ? 1 : 2]; }

// Distance between the rows of a copied tile: off the powers of two, whose lines would share cache sets.
int64_t copied_stride(int64_t k_block) { return round_up(k_block, kAlignFloats) + kAlignFloats; }

int64_t copied_floats(const ImplicitGemm& p, int most_rows) {
  return p.tactic.m_block * most_rows * copied_stride(std::min<int64_t>(p.tactic.k_block, p.k));
}

int64_t k_blocks(const ImplicitGemm& p) { return std::max<int64_t>(1, ceil_div(p.k, p.tactic.k_block)); }

// Tiles end with an output line where input lines are copied or output lines are spread.
RowTiles row_tiles(const ImplicitGemm& p, const IsaKernels& kernels) {
  return RowTiles(p.m, p.tactic.pack_a == kCopyLines || p.spread ? p.window.out_w : p.m, tile_rows(p, kernels));
}

// Tasks and blocks take whole lines, else whole tiles.
int64_t unit_tiles(const ImplicitGemm& p, const RowTiles& tiles) {
  return p.tactic.pack_a == kCopyLines ? tiles.per_line : 1;
}

// Copied lines: consecutive values of a row of A are a segment, whole kernel lines unless taps are spread.
int64_t segment_length(const Window& w) { return w.dilation_w == 1 ? w.kernel_w * w.channels : w.channels; }
int64_t segment_count(const Window& w) { return w.kernel_d * w.kernel_h * (w.dilation_w == 1 ? 1 : w.kernel_w); }
int64_t copied_line_floats(const Window& w) {
  return round_up(w.kernel_d * w.kernel_h * copied_line_pixels(w) * w.channels, kAlignFloats);
}
int64_t offset_floats(const Window& w) { return round_up(2 * segment_count(w), kAlignFloats); }

// Scratch of one thread, in floats.
int64_t slot_floats(const ImplicitGemm& p, const IsaKernels& kernels) {
  if (p.tactic.pack_a == kCopyTiles) return copied_floats(p, tile_rows(p, kernels));
  if (p.tactic.pack_a != kCopyLines) return 0;
  return offset_floats(p.window) + p.tactic.m_block / row_tiles(p, kernels).per_line * copied_line_floats(p.window);
}

// All of A of one group, one block of columns after the other.
int64_t whole_copy_floats(const ImplicitGemm& p) {
  return k_blocks(p) * p.m * copied_stride(std::min<int64_t>(p.tactic.k_block, p.k));
}

// One task: the row tiles [tile0, tile1) of the panels [panel0, panel1) of one group.
class Task {
 public:
  Task(const ImplicitGemm& p, const GemmArgs& args, int64_t group, float* scratch)
      : Task(p, args, row_tiles(p, isa_kernels(p.isa)), group, scratch) {}

  Task(const ImplicitGemm& p, const GemmArgs& args, const RowTiles& tiles, int64_t group, float* scratch)
      : p_(p),
        kernels_(isa_kernels(p.isa)),
        panels_(p.k, p.n, kernels_.lanes),
        tiles_(tiles),
        epilogue_(p.epilogue),
        args_(args),
        scratch_(scratch) {
    args_.a += group * (p.windows ? p.window.channels : p.k);
    args_.packed += group * static_cast<int64_t>(gemm_packed_size(p.k, p.n, p.isa) / sizeof(float));
    args_.bias += args_.bias ? group * p.n : 0;
    if (p.epilogue.residual == ResidualPlace::kNone) args_.residual = nullptr;
    args_.residual += args_.residual ? group * p.n : 0;
    args_.c += group * p.n;
    if (p.tactic.pack_a == kCopyLines) set_segments();
  }

  // Makes `args.c` the place of this row and panel instead of the first ones.
  void set_output_origin(int64_t row, int64_t panel) {
    origin_row_ = row;
    origin_column_ = panel * 2 * panels_.lanes;
  }

  // The share of copying all of A that belongs to the rows [row0, row1).
  void copy_all(int64_t row0, int64_t row1) const {
    for (int64_t k0 = 0; k0 < p_.k; k0 += p_.tactic.k_block) {
      float* to = scratch_ + (k0 / p_.tactic.k_block * p_.m + row0) * a_stride();
      copy_rows(row0, row1, k0, std::min<int64_t>(p_.k, k0 + p_.tactic.k_block), to);
    }
  }

  void run(int64_t tile0, int64_t tile1, int64_t panel0, int64_t panel1) {
    for (int64_t tile = tile0; tile < tile1; tile += p_.tactic.m_block) {
      const int64_t end = std::min<int64_t>(tile1, tile + p_.tactic.m_block);
      int64_t k0 = 0;
      do {  // once for k = 0
        const int64_t k1 = std::min<int64_t>(p_.k, k0 + p_.tactic.k_block);
        run_block(tile, end, panel0, panel1, k0, k1);
        k0 = k1;
      } while (k0 < p_.k);
    }
  }

 private:
  // Offsets of the segments of a row of A from its first value, at the start of the scratch.
  void set_segments() {
    const Window& w = p_.window;
    const int64_t line = copied_line_pixels(w) * w.channels, taps = w.dilation_w == 1 ? 1 : w.kernel_w;
    int64_t* offsets = reinterpret_cast<int64_t*>(scratch_);
    for (int64_t i = 0; i < segment_count(w); ++i) offsets[i] = i / taps * line + i % taps * w.dilation_w * w.channels;
    segment_offsets_ = offsets;
    scratch_ += offset_floats(w);
  }

  // Where row `row` of the columns from k0 on is read.
  const float* a_row(int64_t row, int64_t first_row, int64_t k0, int64_t stride) const {
    if (p_.tactic.pack_a == kCopyLines) {
      return scratch_ + (row - first_row) / tiles_.line * copied_line_floats(p_.window) + row % tiles_.line * stride;
    }
    if (p_.tactic.pack_a == kCopyNothing) return args_.a + row * stride + k0;
    if (p_.tactic.pack_a == kCopyTiles) return scratch_ + (row - first_row) * stride;
    return scratch_ + (k0 / p_.tactic.k_block * p_.m + row) * stride;
  }

  void run_block(int64_t tile0, int64_t tile1, int64_t panel0, int64_t panel1, int64_t k0, int64_t k1) {
    const int64_t stride = a_stride(), first_row = tiles_.begin(tile0);
    if (p_.tactic.pack_a == kCopyTiles) copy_rows(tiles_.begin(tile0), tiles_.begin(tile1), k0, k1, scratch_);
    TileArgs tile;
    tile.a_stride = stride;
    tile.segment_length = k1 - k0;
    if (p_.tactic.pack_a == kCopyLines) {
      if (k0 == 0) copy_lines(tiles_.begin(tile0), tiles_.begin(tile1));
      tile.segment_length = segment_length(p_.window);
      tile.segments = (k1 - k0) / tile.segment_length;
      tile.segment_offsets = segment_offsets_ + k0 / tile.segment_length;
    }
    tile.c_stride = args_.ldc * (p_.spread ? p_.map.step_w : 1);
    tile.residual_stride = args_.ldr * (p_.spread ? p_.map.step_w : 1);
    tile.accumulate = k0 > 0;
    tile.c_is_near = args_.c_is_near;
    for (int64_t panel = panel0; panel < panel1; ++panel) {
      set_panel(tile, panel, k0, k1 == p_.k);
      for (int64_t t = tile0, row = first_row; t < tile1; ++t) {
        const int64_t next = tiles_.begin(t + 1);
        tile.a = a_row(row, first_row, k0, stride);
        run_tile(tile, panel, row, next - row, k1 == p_.k);
        row = next;
      }
    }
  }

  void copy_lines(int64_t row0, int64_t row1) const {
    float* to = scratch_;
    for (int64_t line = row0 / tiles_.line; line < row1 / tiles_.line; ++line, to += copied_line_floats(p_.window)) {
      kernels_.copy_lines(p_.window, args_.a, line, to);
    }
  }

  int64_t a_stride() const {
    if (p_.tactic.pack_a == kCopyLines) return p_.window.stride_w * p_.window.channels;
    return p_.tactic.pack_a == kCopyNothing ? args_.lda : copied_stride(std::min<int64_t>(p_.tactic.k_block, p_.k));
  }

  void copy_rows(int64_t row0, int64_t row1, int64_t k0, int64_t k1, float* to) const {
    if (k0 >= k1) return;  // a phase of a transposed convolution may have no taps
    if (p_.windows) {
      kernels_.pack_window(p_.window, args_.a, row0, row1 - row0, k0, k1, to, a_stride());
    } else {
      kernels_.copy_rows(args_.a + row0 * args_.lda + k0, args_.lda, row1 - row0, k1 - k0, 1.0f, to, a_stride());
    }
  }

  void set_panel(TileArgs& tile, int64_t panel, int64_t k0, bool last) const {
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    tile.b = args_.packed + panels_.offset(panel) + k0 * panels_.lanes * panels_.vectors(panel);
    tile.columns = panels_.columns(panel);
    tile.bias = k0 == 0 && args_.bias ? args_.bias + panel * 2 * panels_.lanes : nullptr;
    tile.low = last ? epilogue_.low : -kInfinity;
    tile.high = last ? epilogue_.high : kInfinity;
    tile.residual_last = epilogue_.whole.residual == ResidualPlace::kAfterActivation;
  }

  // The pixel of the output that row `row` is.
  int64_t pixel(int64_t row) const {
    if (!p_.spread) return row;
    const Window& w = p_.window;
    const int64_t line = row / w.out_w, h = line % w.out_h, d = line / w.out_h % w.out_d, image = line / w.out_h / w.out_d;
    const PixelMap& map = p_.map;
    return map.origin + row % w.out_w * map.step_w + h * map.step_h + d * map.step_d + image * map.step_image;
  }

  void run_tile(TileArgs& tile, int64_t panel, int64_t row, int64_t rows, bool last) const {
    const int64_t column = panel * 2 * panels_.lanes, at = pixel(row);
    const float* residual = args_.residual ? args_.residual + at * args_.ldr + column : nullptr;
    tile.c = args_.c + (at - origin_row_) * args_.ldc + (column - origin_column_);
    tile.residual = last && epilogue_.residual_in_kernel ? residual : nullptr;
    kernels_.tile[panels_.vectors(panel)][rows](tile);
    if (!last || epilogue_.in_kernel) return;
    kernels_.activate(epilogue_.whole, tile.c, tile.c_stride, rows, tile.columns,
                      epilogue_.residual_in_kernel ? nullptr : residual, tile.residual_stride);
  }

  const ImplicitGemm& p_;
  const IsaKernels& kernels_;
  PanelLayout panels_;
  RowTiles tiles_;
  TileEpilogue epilogue_;
  GemmArgs args_;
  float* scratch_;
  const int64_t* segment_offsets_ = nullptr;
  int64_t origin_row_ = 0, origin_column_ = 0;
};

// Microseconds one core would need, roughly: enough to judge how many tasks are worth their hand-over.
double estimated_time(const ImplicitGemm& p) {
  const double work = 2.0 * static_cast<double>(p.m) * static_cast<double>(p.n) * static_cast<double>(p.k);
  const double bytes = 4.0 * static_cast<double>(p.n) * static_cast<double>(p.k);
  return static_cast<double>(p.groups) * (work / 150e3 + bytes / 20e3);
}

void choose_shares(ImplicitGemm& p, int64_t tiles, int64_t panels) {
  constexpr double kTaskTime = 5;
  constexpr int64_t kMostTasks = 32, kEnoughTasks = 16;  // beyond enough, both sides would be read several times
  const double time = estimated_time(p);
  const int64_t wanted = even_tasks(time < kTaskTime * kMostTasks ? static_cast<int64_t>(time / kTaskTime) : kMostTasks);
  const int64_t per_group = ceil_div(wanted, p.groups);
  const bool columns_first = p.n > p.m;  // B is then the larger side: every task reads its own part of it
  if (p.tactic.m_shares == 0 && p.tactic.n_shares == 0) {
    const int64_t first = std::min(columns_first ? panels : tiles, per_group);
    const int64_t second = std::clamp<int64_t>(std::min(per_group, kEnoughTasks) / std::max<int64_t>(1, first), 1,
                                               std::max<int64_t>(1, columns_first ? tiles : panels));
    p.tactic.n_shares = static_cast<int32_t>(columns_first ? first : second);
    p.tactic.m_shares = static_cast<int32_t>(columns_first ? second : first);
  }
  p.tactic.m_shares = static_cast<int32_t>(std::clamp<int64_t>(p.tactic.m_shares, 1, std::max<int64_t>(1, tiles)));
  p.tactic.n_shares = static_cast<int32_t>(std::clamp<int64_t>(p.tactic.n_shares, 1, std::max<int64_t>(1, panels)));
}

// Products read A in place. Windows that overlap are read from copied lines where lines are long enough for whole tiles:
// with few channels copying every window would cost as much as multiplying.
void choose_copy(ImplicitGemm& p, const IsaKernels& kernels) {
  GemmTactic& t = p.tactic;
  if (!p.windows) {
    t.pack_a = t.pack_a < 0 || t.pack_a == kCopyLines ? kCopyNothing : t.pack_a;
    return;
  }
  const bool lines_possible = p.m > 0 && p.k > 0 && !p.spread;
  if (t.pack_a < 0) {
    const Window& w = p.window;
    const bool few_channels = w.channels * w.kernel_w < 64 && w.out_w >= kernels.max_rows[2];
    const bool overlapping = w.kernel_h > w.stride_h && w.kernel_w > w.stride_w && w.out_w >= 2 * kernels.max_rows[2];
    t.pack_a = lines_possible && (few_channels || overlapping) ? kCopyLines : p.n > p.m ? kCopyAll : kCopyTiles;
  }
  if (t.pack_a == kCopyNothing || (t.pack_a == kCopyLines && !lines_possible)) t.pack_a = kCopyTiles;
}

}  // namespace

TileEpilogue::TileEpilogue(const Epilogue& epilogue)
    : whole(epilogue),
      in_kernel(as_clip(epilogue, &low, &high)),
      residual_in_kernel(in_kernel || epilogue.residual == ResidualPlace::kBeforeActivation) {
  if (in_kernel) return;
  low = -std::numeric_limits<float>::infinity();
  high = std::numeric_limits<float>::infinity();
}

void pack_panels(const PanelLayout& layout, const IsaKernels& kernels, const float* b, int64_t ldb, bool transposed,
                 float factor, float* packed) {
  if (layout.k == 0) return;  // B may be null then
  for (int64_t panel = 0; panel < layout.count(); ++panel) {
    const int64_t width = layout.lanes * layout.vectors(panel), columns = layout.columns(panel);
    const int64_t column = panel * 2 * layout.lanes;
    float* to = packed + layout.offset(panel);
    if (columns < width) std::memset(to, 0, static_cast<size_t>(width * layout.k) * sizeof(float));
    if (transposed) {
      kernels.transpose(b + column * ldb, ldb, columns, layout.k, factor, to, width);
    } else {
      kernels.copy_rows(b + column, ldb, layout.k, columns, factor, to, width);
    }
  }
}

void choose_tactic(ImplicitGemm& p) {
  constexpr int64_t kLongestBlock = 2304;
  const IsaKernels& kernels = isa_kernels(p.isa);
  const int64_t rows = tile_rows(p, kernels);
  const int64_t panels = PanelLayout(p.k, p.n, kernels.lanes).count();
  const int64_t half_l2 = cpu_info().l2_bytes / 2, float_bytes = sizeof(float);
  GemmTactic& t = p.tactic;
  choose_copy(p, kernels);
  const RowTiles tiles = row_tiles(p, kernels);
  choose_shares(p, tiles.count / unit_tiles(p, tiles), panels);
  if (t.k_block <= 0) {
    const int64_t blocks = std::max<int64_t>(1, ceil_div(p.k, kLongestBlock));
    t.k_block = static_cast<int32_t>(round_up(std::max<int64_t>(1, ceil_div(p.k, blocks)), kAlignFloats));
  }
  if (t.pack_a == kCopyLines) t.k_block = static_cast<int32_t>(round_up(t.k_block, segment_length(p.window)));
  if (t.pack_a == kCopyAll && (p.groups > 1 || whole_copy_floats(p) > kLargestCopyFloats)) t.pack_a = kCopyTiles;
  if (t.m_block <= 0) {
    // B stays in the second-level cache: one tile after the other meets all of it. Else B passes by once for many tiles.
    const bool b_stays = ceil_div(p.n, t.n_shares) * t.k_block * float_bytes <= half_l2;
    t.m_block = static_cast<int32_t>(b_stays ? 1 : std::clamp<int64_t>(half_l2 / (rows * t.k_block * float_bytes), 1, 1024));
  }
  const int64_t share_tiles =
      std::max<int64_t>(1, ceil_div(tiles.count / unit_tiles(p, tiles), t.m_shares) * unit_tiles(p, tiles));
  const int64_t m_block = round_up(std::min<int64_t>(t.m_block, share_tiles), std::max<int64_t>(1, unit_tiles(p, tiles)));
  t.m_block = static_cast<int32_t>(m_block);
}

size_t scratch_size(const ImplicitGemm& p, int threads) {
  int64_t floats = 0;
  if (p.tactic.pack_a != kCopyAll) floats = slot_floats(p, isa_kernels(p.isa)) * threads;
  if (p.tactic.pack_a == kCopyAll) floats = whole_copy_floats(p);
  return static_cast<size_t>(floats) * sizeof(float);
}

void run(const ImplicitGemm& p, const GemmArgs& args, ThreadTeam& team) {
  if (p.m == 0 || p.n == 0) return;
  const IsaKernels& kernels = isa_kernels(p.isa);
  const RowTiles tiles = row_tiles(p, kernels);
  const int64_t unit = unit_tiles(p, tiles), units = tiles.count / unit, per_slot = slot_floats(p, kernels);
  const int64_t panels = PanelLayout(p.k, p.n, kernels.lanes).count();
  const int64_t m_shares = p.tactic.m_shares, n_shares = p.tactic.n_shares;
  if (p.tactic.pack_a == kCopyAll) {
    const int64_t copies = std::min<int64_t>(p.m, 2 * tiles.count);
    team.parallel(static_cast<int>(copies), [&](int share) {
      Task(p, args, 0, static_cast<float*>(args.scratch)).copy_all(share * p.m / copies, (share + 1) * p.m / copies);
    });
  }
  team.parallel(static_cast<int>(p.groups * m_shares * n_shares), [&](int share) {
    const int64_t ns = share % n_shares, ms = share / n_shares % m_shares, group = share / n_shares / m_shares;
    float* scratch = static_cast<float*>(args.scratch) + team.slot() * per_slot;
    Task(p, args, group, scratch)
        .run(ms * units / m_shares * unit, (ms + 1) * units / m_shares * unit, ns * panels / n_shares,
             (ns + 1) * panels / n_shares);
  });
}

void run_part(const ImplicitGemm& p, const GemmArgs& args, const GemmPart& part) {
  float* scratch = static_cast<float*>(args.scratch);
  if (p.windows) {
    const RowTiles tiles = row_tiles(p, isa_kernels(p.isa));
    Task task(p, args, tiles, 0, scratch);
    task.set_output_origin(part.row0, part.panel0);
    task.run(part.row0 / tiles.line * tiles.per_line, part.row1 / tiles.line * tiles.per_line, part.panel0, part.panel1);
    return;
  }
  const int64_t rows = part.row1 - part.row0;
  const RowTiles tiles(rows, rows, tile_rows(p, isa_kernels(p.isa)));
  GemmArgs own = args;
  own.a += part.row0 * args.lda;
  Task task(p, own, tiles, 0, scratch);
  task.set_output_origin(0, part.panel0);
  task.run(0, tiles.count, part.panel0, part.panel1);
}

}  // namespace tenon::cpu
