#include "runtime/engine_kernel.h"

#include <iterator>

#include "base/error.h"

namespace tenon::runtime {

EngineKernel::EngineKernel(std::string name, ir::FunctionRef native_segment, std::shared_ptr<Executable> executable)
    : name_(std::move(name)), native_segment_(std::move(native_segment)), executable_(std::move(executable)) {}

EngineKernel::EngineKernel(std::string name, ir::FunctionRef native_segment, std::shared_ptr<EngineCache> cache, bool allow_build,
                           std::unique_ptr<SegmentSource> source)
    : name_(std::move(name)),
      native_segment_(std::move(native_segment)),
      cache_(std::move(cache)),
      allow_build_(allow_build),
      source_(std::move(source)) {}

void EngineKernel::run(ir::EvalContext& ctx) {
  if (!executable_ && !cache_) {
    run_native(ctx);
    return;
  }
  constexpr int kInline = 16;
  TensorView inline_views[kInline];
  std::vector<TensorView> many;
  const auto count = static_cast<std::size_t>(ctx.num_inputs());
  if (count > kInline) many.resize(count);
  TensorView* views = count > kInline ? many.data() : inline_views;
  for (std::size_t i = 0; i < count; ++i) views[i] = TensorView::of(ctx.input(static_cast<int>(i)));
  TensorAllocator outputs(std::span<Tensor>(&ctx.output(0), static_cast<std::size_t>(ctx.num_outputs())));
  if (cache_) return run_by_rules(ctx, {views, count}, outputs);
  try {
    if (profiling_.load(std::memory_order_relaxed)) {
      add_layers(executable_->profile({views, count}, outputs));
    } else {
      executable_->run({views, count}, outputs, nullptr);
    }
    calls_.fetch_add(1, std::memory_order_relaxed);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kUnsupported) throw;
    remember_reason(error.what());
    run_native(ctx);
  }
}

void EngineKernel::run_by_rules(ir::EvalContext& ctx, std::span<const TensorView> views, OutputAllocator& outputs) {
  std::vector<LayerTime> layers;
  const bool profiling = profiling_.load(std::memory_order_relaxed);
  const EngineCall call = cache_->run(views, outputs, allow_build_, source_.get(), profiling ? &layers : nullptr);
  if (call.ran) {
    if (profiling) add_layers(std::move(layers));
    calls_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  if (call.native_refusable && !native_segments_allowed()) {
    fail(ErrorCode::kAborted, "{}: User disallowed engine native segment execution. ({})", ctx.node().describe(), call.reason);
  }
  remember_reason(call.reason.c_str());
  run_native(ctx);
}

void EngineKernel::run_native(ir::EvalContext& ctx) {
  if (native_segment_.name.empty()) {
    ctx.fail_node("has no engine that fits and no native segment to run instead");
  }
  std::vector<Tensor> arguments;
  for (int i = 0; i < ctx.num_inputs(); ++i) arguments.push_back(ctx.input(i));
  std::vector<Tensor> results = ctx.services().call(native_segment_, std::move(arguments));
  if (static_cast<int>(results.size()) != ctx.num_outputs()) {
    ctx.fail_node("its native segment gives {} results, the node has {}", results.size(), ctx.num_outputs());
  }
  for (int i = 0; i < ctx.num_outputs(); ++i) ctx.set_output(i, std::move(results[static_cast<std::size_t>(i)]));
  native_calls_.fetch_add(1, std::memory_order_relaxed);
}

// An engine in a loop runs many times before its layers are taken.
void EngineKernel::add_layers(std::vector<LayerTime> layers) {
  const std::lock_guard lock(mutex_);
  if (layers.size() != layers_.size()) {
    layers_.insert(layers_.end(), std::make_move_iterator(layers.begin()), std::make_move_iterator(layers.end()));
    return;
  }
  for (std::size_t i = 0; i < layers.size(); ++i) {
    layers_[i].seconds += layers[i].seconds;
    layers_[i].flops += layers[i].flops;
  }
}

std::vector<LayerTime> EngineKernel::take_layers() {
  const std::lock_guard lock(mutex_);
  return std::exchange(layers_, {});
}

void EngineKernel::remember_reason(const char* reason) {
  const std::lock_guard lock(mutex_);
  native_reason_ = reason;
}

std::string EngineKernel::native_reason() {
  const std::lock_guard lock(mutex_);
  return native_reason_;
}

}  // namespace tenon::runtime
