// Handles: scalar tensors that hold one object of the session.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "ir/eval_context.h"

namespace tenon::ops {

// The name a node's resource has in its container: shared_name, else the node's own name.
inline std::string resource_name(const ir::Node& node) {
  auto shared = node.attr_or<std::string>("shared_name", "");
  return shared.empty() ? node.name : shared;
}

inline Tensor make_handle(ObjectPtr object, DataType dtype = DataType::kResource) {
  Tensor handle(dtype, Shape{});
  handle.flat<ObjectPtr>()[0] = std::move(object);
  return handle;
}

// The object of type T behind operand `i`. Throws via ctx when the operand is not a handle of such a `what`.
template <class T>
std::shared_ptr<T> handle_operand(const ir::EvalContext& ctx, int i, const char* what) {
  const Tensor& handle = ctx.input(i);
  const bool holds_objects = handle.dtype() == DataType::kResource || handle.dtype() == DataType::kVariant;
  if (!holds_objects || handle.num_elements() != 1) ctx.fail_node("input {} must be {}, it is {}", i, what, handle.describe());
  auto object = std::dynamic_pointer_cast<T>(handle.flat<ObjectPtr>()[0]);
  if (object == nullptr) ctx.fail_node("input {} is not {}", i, what);
  return object;
}

// The session's resource of the node's name, made by make() at first use.
template <class T, class Make>
std::shared_ptr<T> session_resource(const ir::EvalContext& ctx, const char* what, Make&& make) {
  const std::string name = resource_name(ctx.node());
  const ObjectPtr object = ctx.services().resource(ctx.attrs().get_or<std::string>("container", ""), name, std::forward<Make>(make));
  auto typed = std::dynamic_pointer_cast<T>(object);
  if (typed == nullptr) ctx.fail_node("the name \"{}\" belongs to a resource that is not {}", name, what);
  return typed;
}

}  // namespace tenon::ops
