#include "build/measure.h"

#include <algorithm>
#include <chrono>
#include <random>

#include "base/error.h"
#include "ops/registry.h"
#include "ops/variables.h"
#include "runtime/executor.h"
#include "runtime/resources.h"

namespace tenon::build {
namespace {

using Clock = std::chrono::steady_clock;

template <class F>
double best_time(F&& run, double budget_seconds) {
  run();  // makes what the first call makes
  double best = 1e30;
  const auto end = Clock::now() + std::chrono::duration<double>(budget_seconds);
  for (int i = 0; i < 3 || (Clock::now() < end && i < 1000); ++i) {
    const auto start = Clock::now();
    run();
    best = std::min(best, std::chrono::duration<double>(Clock::now() - start).count());
    if (best > budget_seconds) break;
  }
  return best;
}

Shape concrete(const PartialShape& shape) {
  std::vector<std::int64_t> dims;
  if (shape.known_rank()) {
    for (Dim dim : shape.dims()) dims.push_back(dim.known() ? dim.size() : 1);
  }
  return Shape(std::move(dims));
}

Tensor variable_handle(const std::string& name, WeightsProvider& weights) {
  Tensor handle(DataType::kResource, Shape{});
  handle.flat<ObjectPtr>()[0] = std::make_shared<ops::Variable>(name, weights.variable(name));
  return handle;
}

Tensor made_up(DataType dtype, const Shape& shape) {
  Tensor tensor(dtype, shape);
  std::mt19937 generator(7);
  if (dtype == DataType::kFloat32) {
    std::uniform_real_distribution<float> real(-1.0f, 1.0f);
    for (float& value : tensor.flat<float>()) value = real(generator);
  } else if (tensor.byte_size() != 0) {
    std::fill_n(static_cast<char*>(tensor.data()), tensor.byte_size(), '\0');
  }
  return tensor;
}

}  // namespace

SegmentTimes measure_segment(const ir::Graph& graph, Executable& executable, WeightsProvider& weights, const ir::Module& functions,
                             const runtime::KernelLookup& native_kernels, double budget_seconds) {
  SegmentTimes times;
  try {
    std::vector<ir::Value> feeds;
    std::vector<Tensor> fed;
    std::vector<TensorView> views;
    for (ir::Node* parameter : graph.parameters) {
      const ir::ValueType& type = parameter->outputs[0];
      feeds.push_back(parameter->output());
      if (type.dtype == DataType::kResource) {
        fed.push_back(variable_handle(parameter->attr<std::string>("variable"), weights));
      } else if (parameter->attrs.has("variable")) {
        fed.push_back(weights.variable(parameter->attr<std::string>("variable")));
      } else if (parameter->attrs.has("constant")) {
        fed.push_back(parameter->attr<Tensor>("constant"));
      } else {
        fed.push_back(made_up(type.dtype, concrete(type.shape)));
      }
    }
    for (const Tensor& tensor : fed) views.push_back(TensorView::of(tensor));
    std::vector<Tensor> outputs(graph.outputs.size());
    times.engine_seconds = best_time(
        [&] {
          TensorAllocator allocator(outputs);
          executable.run(views, allocator, nullptr);
        },
        budget_seconds);
    runtime::SessionServices services(functions, {}, {});
    const runtime::Executor native(graph, feeds, graph.outputs, {}, native_kernels);
    times.native_seconds = best_time([&] { native.run(fed, services, nullptr, nullptr); }, budget_seconds);
  } catch (const Error& error) {
    times.problem = error.what();
  }
  return times;
}

}  // namespace tenon::build
