// What an executable does in a run: a list of steps over addresses.
#pragma once

#include <cstddef>
#include <memory>

#include "base/thread_team.h"

namespace tenon::cpu {

// The number of a tensor in a shape plan.
using Slot = int;

// What a step sees: where every tensor lies in this run, scratch memory (64-byte aligned), and the team.
struct Frame {
  std::byte* const* addresses;
  std::byte* scratch;
  ThreadTeam* team;

  template <class T>
  T* at(Slot slot) const {
    return reinterpret_cast<T*>(addresses[slot]);
  }
};

// A kernel with its shapes. Immutable, so that several threads may run it on different frames.
class Step {
 public:
  virtual ~Step() = default;
  virtual void run(const Frame& frame) const = 0;
};

template <class F>
std::unique_ptr<Step> make_step(F function) {
  class FunctionStep : public Step {
   public:
    explicit FunctionStep(F f) : function_(std::move(f)) {}
    void run(const Frame& frame) const override { function_(frame); }

   private:
    F function_;
  };
  return std::make_unique<FunctionStep>(std::move(function));
}

}  // namespace tenon::cpu
