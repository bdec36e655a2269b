// The core that matrix products and convolutions share: cutting a product into tasks, blocks and register tiles. The rows
// of A are lines of a matrix or windows of an image; they are read in place or copied tile by tile.
#pragma once

#include <cstddef>
#include <cstdint>

#include "backends/cpu/kernels/gemm.h"
#include "backends/cpu/kernels/isa_kernels.h"

namespace tenon::cpu {

// Packed B: panels of two vectors of columns, each [k, width] dense; the last is one vector wide where that is enough.
struct PanelLayout {
  PanelLayout(int64_t k, int64_t n, int lanes) : k(k), n(n), lanes(lanes) {}
  int64_t count() const { return (n + 2 * lanes - 1) / (2 * lanes); }
  int64_t columns(int64_t panel) const { return n - panel * 2 * lanes < 2 * lanes ? n - panel * 2 * lanes : 2 * lanes; }
  int vectors(int64_t panel) const { return columns(panel) <= lanes ? 1 : 2; }
  int64_t offset(int64_t panel) const { return panel * 2 * lanes * k; }  // in floats
  int64_t floats() const { return n > 0 ? offset(count() - 1) + k * lanes * vectors(count() - 1) : 0; }

  int64_t k, n;
  int lanes;
};

// Packs factor * B (or factor * B^T) into `layout`; columns that do not exist become zeros.
void pack_panels(const PanelLayout& layout, const IsaKernels& kernels, const float* b, int64_t ldb, bool transposed,
                 float factor, float* packed);

// A number of tasks that teams of two and four threads share evenly.
inline int64_t even_tasks(int64_t wanted) { return wanted <= 2 ? (wanted < 1 ? 1 : wanted) : (wanted + 3) / 4 * 4; }

// Rows of register tiles: every `line` of rows is cut into `per_line` tiles whose sizes differ by at most one.
struct RowTiles {
  RowTiles(int64_t m, int64_t line, int64_t most)
      : line(line), per_line((line + most - 1) / most), count(line > 0 ? m / line * per_line : 0) {}
  int64_t begin(int64_t tile) const {
    if (tile < per_line) return tile * line / per_line;
    return tile / per_line * line + tile % per_line * line / per_line;
  }
  int64_t line, per_line, count;
};

// How sums leave a tile: what the tile kernel does itself and what `activate` does on the written tile.
struct TileEpilogue {
  explicit TileEpilogue(const Epilogue& epilogue);
  Epilogue whole;
  float low, high;
  bool in_kernel;  // a clip, nothing else
  bool residual_in_kernel;
};

// Where the output lines of windows lie, in pixels: outputs of one phase of a transposed convolution are spread.
struct PixelMap {
  int64_t origin = 0, step_w = 1, step_h = 0, step_d = 0, step_image = 0;
};

struct ImplicitGemm {
  int64_t m = 0, n = 0, k = 0, groups = 1;  // n and k of one group
  bool windows = false;                     // rows of A are windows of an image
  Window window;
  bool spread = false;  // rows of C lie where `map` says (windows, one group), else one after the other
  PixelMap map;
  Epilogue epilogue;
  GemmTactic tactic;
  Isa isa = Isa::kGeneric;
};

// Fills the fields of the tactic that are zero (or -1).
void choose_tactic(ImplicitGemm& product);

size_t scratch_size(const ImplicitGemm& product, int threads);

// Group g reads A at g * k (or g * channels of a window), B at g packed matrices, C, bias and residual at g * n.
void run(const ImplicitGemm& product, const GemmArgs& args, ThreadTeam& team);

// Rows [row0, row1) of the panels [panel0, panel1); windows are cut at output lines.
struct GemmPart {
  int64_t row0 = 0, row1 = 0, panel0 = 0, panel1 = 0;
};

// Runs a part of a product of one group in the calling thread. `args.c` is where the part's first row and column go;
// `args.scratch` is for one thread. Windows need the tactic kCopyLines with one line per block.
void run_part(const ImplicitGemm& product, const GemmArgs& args, const GemmPart& part);

}  // namespace tenon::cpu
