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

int64_t pitch_of(const ConvDepthwiseTactic& tactic, const IsaKernels& kernels) {
  return tactic.panels * 2 * kernels.lanes;
}

}  // namespace

// A run of output lines of one image, for some panels of channels.
class ConvDepthwisePlan::Task {
 public:
  Task(const ConvDepthwisePlan& plan, const ConvDepthwiseArgs& args, const ImplicitGemm& product, const PanelLayout& panels,
       int64_t chunk, char* scratch)
      : plan_(plan),
        kernels_(isa_kernels(plan.isa_)),
        product_(product),
        panel0_(chunk * plan.tactic_.panels),
        panel1_(std::min(panels.count(), panel0_ + plan.tactic_.panels)),
        channel_(panel0_ * 2 * kernels_.lanes),
        pitch_(pitch_of(plan.tactic_, kernels_)),
        rows_(reinterpret_cast<const float**>(scratch)),
        ring_(reinterpret_cast<float*>(scratch) + round_up(2 * plan.params_.depthwise.kernel_h, kAlignFloats)) {
    const Conv2dParams& conv = plan.params_.conv;
    gemm_.a = args.input;
    gemm_.lda = conv.input_stride ? conv.input_stride : conv.input_channels;
    gemm_.packed = args.packed;
    gemm_.bias = args.bias;
    gemm_.ldc = pitch_;
    gemm_.scratch = ring_ + plan.ring_lines_ * plan.middle_w_ * pitch_;
    row_ = depthwise_row_form(plan.params_.depthwise, plan.middle_w_, plan.output_w_);
    row_.rows = rows_;
    row_.weights = args.depthwise_packed + channel_;
    row_.bias = args.depthwise_bias ? args.depthwise_bias + channel_ : nullptr;
    row_.channels = std::min(conv.output_channels, panel1_ * 2 * kernels_.lanes) - channel_;
    row_.input_stride = pitch_;
    row_.rows_are_near = true;
    output_ = args.output + channel_;
  }

  void run(int64_t image, int64_t line0, int64_t line1) {
    const DepthwiseParams& p = plan_.params_.depthwise;
    first_made_ = next_ = std::clamp<int64_t>(line0 * p.stride_h - p.pad_top, 0, plan_.middle_h_);
    const bool finishes = depthwise_row_finishes(p);
    for (int64_t line = line0; line < line1; ++line) {
      const int64_t top = line * p.stride_h - p.pad_top;
      make_lines(image, std::min(plan_.middle_h_, top + reach(p)));
      for (int64_t kh = 0; kh < p.kernel_h; ++kh) {
        const int64_t y = top + kh * p.dilation_h;
        rows_[kh] = y < 0 || y >= plan_.middle_h_ ? nullptr : place(y);
      }
      row_.output = output_ + (image * plan_.output_h_ + line) * plan_.output_w_ * row_.output_stride;
      kernels_.depthwise_row(row_);
      if (finishes) continue;
      kernels_.activate(p.epilogue, row_.output, row_.output_stride, plan_.output_w_, row_.channels, nullptr, 0);
    }
  }

 private:
  float* place(int64_t line) const {
    return ring_ + (line - first_made_) % plan_.ring_lines_ * plan_.middle_w_ * pitch_;
  }

  // All lines before `end` that are not there yet.
  void make_lines(int64_t image, int64_t end) {
    while (next_ < end) {
      const int64_t last = std::min(plan_.middle_h_, next_ + plan_.lines_at_once_), width = plan_.middle_w_;
      gemm_.c = place(next_);
      const int64_t first = image * plan_.middle_h_;
      run_part(product_, gemm_, {(first + next_) * width, (first + last) * width, panel0_, panel1_});
      next_ = last;
    }
  }

  const ConvDepthwisePlan& plan_;
  const IsaKernels& kernels_;
  const ImplicitGemm& product_;
  int64_t panel0_, panel1_, channel_, pitch_;
  const float** rows_;
  float* ring_;
  float* output_;
  GemmArgs gemm_;
  DepthwiseRowArgs row_;
  int64_t first_made_ = 0, next_ = 0;
};

ConvDepthwisePlan ConvDepthwisePlan::make(const ConvDepthwiseParams& params, int64_t batch, int64_t height, int64_t width,
                                          const ConvDepthwiseTactic& tactic, Isa isa) {
  const Conv2dParams& conv = params.conv;
  const DepthwiseParams& p = params.depthwise;
  TENON_CHECK(batch >= 0 && height >= 0 && width >= 0);
  TENON_CHECK(conv.groups == 1 && !conv.winograd && conv.output_channels == p.channels && p.multiplier == 1);
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
  plan.ring_lines_ = round_up(reach(p) + plan.lines_at_once_ - 1, plan.lines_at_once_);

  constexpr double kTaskTime = 5;
  constexpr int64_t kMostTasks = 16;
  const int64_t panels = std::max<int64_t>(1, PanelLayout(product.k, product.n, kernels.lanes).count());
  const double multiply_adds = static_cast<double>(product.m) * static_cast<double>(product.n) * static_cast<double>(product.k);
  const int64_t wanted = even_tasks(static_cast<int64_t>(std::min<double>(kMostTasks, multiply_adds / 75e3 / kTaskTime)));
  ConvDepthwiseTactic& t = plan.tactic_ = tactic;
  if (t.panels <= 0) t.panels = 1;
  t.panels = static_cast<int32_t>(std::min<int64_t>(t.panels, panels));
  const int64_t tasks = std::max<int64_t>(1, batch) * ceil_div(panels, t.panels);
  const int64_t most_shares = std::max<int64_t>(1, plan.output_h_ / std::max<int64_t>(1, 6 * reach(p) / p.stride_h));
  if (t.line_shares <= 0) t.line_shares = static_cast<int32_t>(std::clamp<int64_t>(wanted / tasks, 1, most_shares));
  t.line_shares = static_cast<int32_t>(std::clamp<int64_t>(t.line_shares, 1, std::max<int64_t>(1, plan.output_h_)));
  return plan;
}

size_t ConvDepthwisePlan::scratch_size(int threads) const {
  const ImplicitGemm product = product_of(params_.conv, batch_, height_, width_, isa_);
  const int64_t own = round_up(2 * params_.depthwise.kernel_h, kAlignFloats) +
                      ring_lines_ * middle_w_ * pitch_of(tactic_, isa_kernels(isa_));
  return static_cast<size_t>(threads) * (static_cast<size_t>(own) * sizeof(float) + cpu::scratch_size(product, 1));
}

void ConvDepthwisePlan::run(const ConvDepthwiseArgs& args, ThreadTeam& team) const {
  const int64_t channels = params_.depthwise.channels;
  if (batch_ == 0 || output_h_ == 0 || output_w_ == 0 || channels == 0) return;
  const ImplicitGemm product = product_of(params_.conv, batch_, height_, width_, isa_);
  const PanelLayout panels(product.k, product.n, isa_kernels(isa_).lanes);
  const int64_t chunks = ceil_div(panels.count(), tactic_.panels), shares = tactic_.line_shares;
  const size_t slot_bytes = scratch_size(1);
  team.parallel(static_cast<int>(batch_ * chunks * shares), [&](int task) {
    // Lines before channels: a thread begins at one end of the tasks (thread_team.h) and so at one end of the image, where
    // the steps before and after have it too.
    const int64_t chunk = task % chunks, share = task / chunks % shares, image = task / chunks / shares;
    char* scratch = static_cast<char*>(args.scratch) + slot_bytes * static_cast<size_t>(team.slot());
    Task(*this, args, product, panels, chunk, scratch)
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
    for (int32_t shares : {1, 2, 4}) add({.panels = panels, .line_shares = shares});
  }
  return tactics;
}

}  // namespace tenon::cpu
