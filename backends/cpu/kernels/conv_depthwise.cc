#include "backends/cpu/kernels/conv_depthwise.h"

#include <algorithm>
#include <limits>

#include "backends/cpu/kernels/conv_parts.h"
#include "base/error.h"

namespace tenon::cpu {
namespace {

constexpr int64_t kAlignFloats = 16;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }

int64_t output_size(int64_t in, int64_t before, int64_t after, int64_t kernel, int64_t dilation, int64_t stride) {
  const int64_t room = in + before + after - ((kernel - 1) * dilation + 1);
  return room < 0 ? 0 : room / stride + 1;
}

// Lines that one output line reads, and those between them.
int64_t reach(const DepthwiseParams& p) { return (p.kernel_h - 1) * p.dilation_h + 1; }

// The addresses of a line's input lines, in floats.
int64_t address_floats(const DepthwiseParams& p) { return round_up(2 * p.kernel_h, kAlignFloats); }

bool is_pointwise(const Conv2dParams& p) {
  return p.kernel_h == 1 && p.kernel_w == 1 && p.stride_h == 1 && p.stride_w == 1 && p.groups == 1 && !p.winograd && p.pad_top == 0 &&
         p.pad_left == 0 && p.pad_bottom == 0 && p.pad_right == 0;
}

// The first convolution. All of K is one block: sums end where they begin.
ImplicitGemm product_of(const Conv2dParams& conv, int64_t batch, int64_t height, int64_t width, Isa isa) {
  ConvTactic tactic;
  tactic.m_shares = tactic.n_shares = 1;
  tactic.m_block = 1;
  tactic.k_block = static_cast<int32_t>(conv.kernel_h * conv.kernel_w * conv.input_channels);
  tactic.pack_a = kCopyLines;
  ImplicitGemm product = conv2d_product(conv, batch, height, width, tactic, isa);
  choose_tactic(product);
  return product;
}

// The projection of the lines that a task has: rows of `pitch` floats, all of K in one block.
ImplicitGemm projection_of(const Conv2dParams& projection, int64_t rows, Isa isa) {
  ConvTactic tactic;
  tactic.m_shares = tactic.n_shares = 1;
  tactic.k_block = static_cast<int32_t>(projection.input_channels);
  tactic.pack_a = kCopyNothing;
  ImplicitGemm product = conv2d_product(projection, 1, 1, rows, tactic, isa);
  choose_tactic(product);
  return product;
}

int64_t pitch_of(const ConvDepthwiseTactic& tactic, const IsaKernels& kernels) {
  return tactic.panels * 2 * kernels.lanes;
}

}  // namespace

// The matrix products of a plan; the same for all tasks.
struct ConvDepthwisePlan::Products {
  explicit Products(const ConvDepthwisePlan& plan)
      : conv(product_of(plan.params_.conv, plan.batch_, plan.height_, plan.width_, plan.isa_)),
        panels(PanelLayout(conv.k, conv.n, isa_kernels(plan.isa_).lanes).count()) {
    if (plan.params_.projected) {
      projection = projection_of(plan.params_.projection, plan.projected_lines_ * plan.output_w_, plan.isa_);
      projection_panels = PanelLayout(projection.k, projection.n, isa_kernels(plan.isa_).lanes).count();
    }
  }
  ImplicitGemm conv, projection;
  int64_t panels, projection_panels = 0;
};

// A run of output lines of one image, for some panels of channels.
class ConvDepthwisePlan::Task {
 public:
  Task(const ConvDepthwisePlan& plan, const ConvDepthwiseArgs& args, const Products& products, int64_t chunk, char* scratch)
      : plan_(plan),
        args_(args),
        kernels_(isa_kernels(plan.isa_)),
        products_(products),
        panel0_(chunk * plan.tactic_.panels),
        panel1_(std::min(products.panels, panel0_ + plan.tactic_.panels)),
        channel_(panel0_ * 2 * kernels_.lanes),
        pitch_(pitch_of(plan.tactic_, kernels_)),
        rows_(reinterpret_cast<const float**>(scratch)),
        ring_(reinterpret_cast<float*>(scratch) + address_floats(plan.params_.depthwise)),
        lines_(ring_ + plan.ring_lines_ * plan.middle_w_ * pitch_) {
    const Conv2dParams& conv = plan.params_.conv;
    gemm_.a = args.input;
    gemm_.lda = conv.input_stride ? conv.input_stride : conv.input_channels;
    gemm_.packed = args.packed;
    gemm_.bias = args.bias;
    gemm_.ldc = pitch_;
    gemm_.c_is_near = true;
    gemm_.scratch = lines_ + plan.projected_lines_ * plan.output_w_ * pitch_;
    row_ = depthwise_row_form(plan.params_.depthwise, plan.middle_w_, plan.output_w_);
    row_.rows = rows_;
    row_.weights = args.depthwise_packed + channel_;
    row_.bias = args.depthwise_bias ? args.depthwise_bias + channel_ : nullptr;
    row_.channels = std::min(conv.output_channels, panel1_ * 2 * kernels_.lanes) - channel_;
    row_.input_stride = pitch_;
    row_.rows_are_near = true;
    if (plan.params_.projected) {
      row_.output_stride = pitch_;
      set_projection();
    }
  }

  void run(int64_t image, int64_t line0, int64_t line1) {
    const DepthwiseParams& p = plan_.params_.depthwise;
    first_made_ = next_ = std::clamp<int64_t>(line0 * p.stride_h - p.pad_top, 0, plan_.middle_h_);
    if (!plan_.params_.projected) {
      for (int64_t line = line0; line < line1; ++line) {
        const int64_t pixel = (image * plan_.output_h_ + line) * plan_.output_w_;
        make_line(image, line, args_.output + channel_ + pixel * row_.output_stride);
      }
      return;
    }
    for (int64_t line = line0; line < line1; line += plan_.projected_lines_) {
      const int64_t end = std::min(line1, line + plan_.projected_lines_);
      for (int64_t i = line; i < end; ++i) make_line(image, i, lines_ + (i - line) * plan_.output_w_ * pitch_);
      project((image * plan_.output_h_ + line) * plan_.output_w_, (end - line) * plan_.output_w_);
    }
  }

 private:
  void set_projection() {
    const Conv2dParams& p = plan_.params_.projection;
    projection_.a = lines_;
    projection_.lda = pitch_;
    projection_.packed = args_.projection_packed;
    projection_.bias = args_.projection_bias;
    projection_.ldr = p.residual_stride ? p.residual_stride : p.output_channels;
    projection_.ldc = p.output_stride ? p.output_stride : p.output_channels;
  }

  float* place(int64_t line) const {
    return ring_ + (line - first_made_) % plan_.ring_lines_ * plan_.middle_w_ * pitch_;
  }

  // All lines of the first convolution before `end` that are not there yet.
  void make_middle(int64_t image, int64_t end) {
    while (next_ < end) {
      const int64_t last = std::min(plan_.middle_h_, next_ + plan_.lines_at_once_), width = plan_.middle_w_;
      gemm_.c = place(next_);
      const int64_t first = image * plan_.middle_h_;
      run_part(products_.conv, gemm_, {(first + next_) * width, (first + last) * width, panel0_, panel1_});
      next_ = last;
    }
  }

  // A line of the depthwise convolution.
  void make_line(int64_t image, int64_t line, float* output) {
    const DepthwiseParams& p = plan_.params_.depthwise;
    const int64_t top = line * p.stride_h - p.pad_top;
    make_middle(image, std::min(plan_.middle_h_, top + reach(p)));
    for (int64_t kh = 0; kh < p.kernel_h; ++kh) {
      const int64_t y = top + kh * p.dilation_h;
      rows_[kh] = y < 0 || y >= plan_.middle_h_ ? nullptr : place(y);
    }
    row_.output = output;
    kernels_.depthwise_row(row_);
    if (depthwise_row_finishes(p)) return;
    kernels_.activate(p.epilogue, output, row_.output_stride, plan_.output_w_, row_.channels, nullptr, 0);
  }

  // The lines that were made become the output's pixels from `pixel` on.
  void project(int64_t pixel, int64_t pixels) {
    projection_.c = args_.output + pixel * projection_.ldc;
    projection_.residual = args_.residual ? args_.residual + pixel * projection_.ldr : nullptr;
    run_part(products_.projection, projection_, {0, pixels, 0, products_.projection_panels});
  }

  const ConvDepthwisePlan& plan_;
  const ConvDepthwiseArgs& args_;
  const IsaKernels& kernels_;
  const Products& products_;
  int64_t panel0_, panel1_, channel_, pitch_;
  const float** rows_;
  float* ring_;   // lines of the first convolution
  float* lines_;  // lines of the depthwise convolution that wait for their projection
  GemmArgs gemm_, projection_;
  DepthwiseRowArgs row_;
  int64_t first_made_ = 0, next_ = 0;
};

ConvDepthwisePlan ConvDepthwisePlan::make(const ConvDepthwiseParams& params, int64_t batch, int64_t height, int64_t width,
                                          const ConvDepthwiseTactic& tactic, Isa isa) {
  const Conv2dParams& conv = params.conv;
  const DepthwiseParams& p = params.depthwise;
  TENON_CHECK(batch >= 0 && height >= 0 && width >= 0);
  TENON_CHECK(conv.groups == 1 && !conv.winograd && conv.output_channels == p.channels && p.multiplier == 1);
  TENON_CHECK(!params.projected || (params.projection.input_channels == p.channels && is_pointwise(params.projection)));
  TENON_CHECK(conv.epilogue.residual == ResidualPlace::kNone && p.epilogue.residual == ResidualPlace::kNone);
  ConvDepthwisePlan plan;
  plan.params_ = params;
  plan.batch_ = batch;
  plan.height_ = height;
  plan.width_ = width;
  plan.middle_h_ = output_size(height, conv.pad_top, conv.pad_bottom, conv.kernel_h, conv.dilation_h, conv.stride_h);
  plan.middle_w_ = output_size(width, conv.pad_left, conv.pad_right, conv.kernel_w, conv.dilation_w, conv.stride_w);
  plan.output_h_ = output_size(plan.middle_h_, p.pad_top, p.pad_bottom, p.kernel_h, p.dilation_h, p.stride_h);
  plan.output_w_ = output_size(plan.middle_w_, p.pad_left, p.pad_right, p.kernel_w, p.dilation_w, p.stride_w);
  plan.isa_ = isa;

  const IsaKernels& kernels = isa_kernels(isa);
  const ImplicitGemm product = product_of(conv, batch, height, width, isa);
  if (!product.windows && plan.middle_w_ > 0) {
    const int64_t enough = 2 * kernels.max_rows[2];
    plan.lines_at_once_ = std::clamp<int64_t>(enough / plan.middle_w_, 1, std::max<int64_t>(1, plan.middle_h_));
  }
  if (params.projected && plan.output_w_ > 0) plan.projected_lines_ = std::max<int64_t>(1, 2 * kernels.max_rows[2] / plan.output_w_);
  plan.ring_lines_ = round_up(reach(p) + plan.lines_at_once_ - 1, plan.lines_at_once_);

  // Two panels at a time are few enough for the first-level cache and long enough runs of channels.
  const int64_t panels = std::max<int64_t>(1, PanelLayout(product.k, product.n, kernels.lanes).count());
  ConvDepthwiseTactic& t = plan.tactic_ = tactic;
  if (t.panels <= 0) t.panels = 2;
  if (params.projected) t.panels = static_cast<int32_t>(panels);
  t.panels = static_cast<int32_t>(std::min<int64_t>(t.panels, panels));
  // As many tasks as some threads share evenly, but shares of many lines: those around the cuts are made twice.
  constexpr int64_t kTasks = 6;
  const int64_t tasks = std::max<int64_t>(1, batch) * ceil_div(panels, t.panels);
  const int64_t most_shares = std::max<int64_t>(1, plan.output_h_ / std::max<int64_t>(1, 4 * reach(p) / p.stride_h));
  if (t.line_shares <= 0) t.line_shares = static_cast<int32_t>(std::clamp<int64_t>(ceil_div(kTasks, tasks), 1, most_shares));
  t.line_shares = static_cast<int32_t>(std::clamp<int64_t>(t.line_shares, 1, std::max<int64_t>(1, plan.output_h_)));
  return plan;
}

size_t ConvDepthwisePlan::scratch_size(int threads) const {
  const ImplicitGemm product = product_of(params_.conv, batch_, height_, width_, isa_);
  const int64_t pixels = ring_lines_ * middle_w_ + projected_lines_ * output_w_;
  const int64_t own = round_up(address_floats(params_.depthwise) + pixels * pitch_of(tactic_, isa_kernels(isa_)), 2 * kAlignFloats);
  return static_cast<size_t>(threads) * (static_cast<size_t>(own) * sizeof(float) + cpu::scratch_size(product, 1));
}

void ConvDepthwisePlan::run(const ConvDepthwiseArgs& args, ThreadTeam& team) const {
  const int64_t channels = params_.projected ? params_.projection.output_channels : params_.depthwise.channels;
  if (batch_ == 0 || output_h_ == 0 || output_w_ == 0 || channels == 0) return;
  const Products products(*this);
  const int64_t chunks = ceil_div(products.panels, tactic_.panels), shares = tactic_.line_shares;
  const size_t slot_bytes = scratch_size(1);
  team.parallel(static_cast<int>(batch_ * chunks * shares), [&](int task) {
    // Lines before channels: a thread begins at one end of the tasks (thread_team.h) and so at one end of the image, where
    // the steps before and after have it too.
    const int64_t chunk = task % chunks, share = task / chunks % shares, image = task / chunks / shares;
    char* scratch = static_cast<char*>(args.scratch) + slot_bytes * static_cast<size_t>(team.slot());
    Task(*this, args, products, chunk, scratch)
        .run(image, share * output_h_ / shares, (share + 1) * output_h_ / shares);
  });
}

std::vector<ConvDepthwiseTactic> conv_depthwise_tactics(const ConvDepthwiseParams& params, int64_t batch, int64_t height,
                                                        int64_t width, Isa isa) {
  std::vector<ConvDepthwiseTactic> tactics;
  const auto add = [&](ConvDepthwiseTactic tactic) {
    tactic = ConvDepthwisePlan::make(params, batch, height, width, tactic, isa).tactic();
    if (std::find(tactics.begin(), tactics.end(), tactic) == tactics.end()) tactics.push_back(tactic);
  };
  add({});
  constexpr int32_t kAll = std::numeric_limits<int32_t>::max();
  for (int32_t panels : {1, 2, kAll}) {
    for (int32_t shares : {1, 2, 4, 8}) add({.panels = panels, .line_shares = shares});
  }
  return tactics;
}

}  // namespace tenon::cpu
