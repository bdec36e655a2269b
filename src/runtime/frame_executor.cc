#include "runtime/frame_executor.h"

#include <algorithm>
#include <deque>
#include <map>
#include <unordered_map>

#include "base/error.h"

namespace tenon::runtime {
namespace {

// An output edge: operand `operand` of step `consumer`, or a control edge when negative.
struct Edge {
  int output;  // of the producer; -1 for a control edge
  int consumer;
  int operand;
};

// Deeper nesting of frames than any real model has; bounds what closing them takes from the stack.
constexpr int kMaxFrameDepth = 200;

// What run_control and collect rely on; a hostile graph may have it otherwise.
void check_arity(const ir::Node& node) {
  const bool is_switch = node.is("switch") || node.is("switch_n");
  const std::size_t inputs = is_switch ? 2 : 1;
  const bool inputs_fit = node.is("merge") ? !node.inputs.empty() : node.inputs.size() == inputs;
  if (!inputs_fit || node.outputs.empty() || (node.is("switch") && node.outputs.size() != 2)) {
    fail(ErrorCode::kInvalidModel, "{} has {} operands and {} results; that is not how the op is defined", node.describe(),
         node.inputs.size(), node.outputs.size());
  }
}

// More iterations than this are taken for a loop that never ends.
constexpr std::int64_t kMaxIterations = std::int64_t{1} << 40;

}  // namespace

struct FrameExecutor::Plan {
  struct Item {
    const Step* step;
    std::vector<Edge> out;
    int data_operands = 0;     // not counting fed ones
    int back_operands = 0;     // of a merge: from next_iteration
    int control_operands = 0;
    std::vector<int> fed_operands;  // operand -> index of feed or -1
    bool any_fed = false;
    bool fetched = false;
  };
  std::vector<Item> items;
  std::vector<ir::Value> feeds;
  struct Fetch {
    int item;   // -1: a feed
    int index;  // output, or feed
  };
  std::vector<Fetch> fetches;
  std::map<std::string, int> enters_per_frame;   // static count of Enter nodes by frame name
  std::map<std::string, std::vector<int>> exits;  // by frame name
};

struct FrameExecutor::Frame {
  struct Arrived {
    Tensor value;
    bool there = false;
  };
  struct ItemState {
    std::vector<Arrived> operands;
    int pending = 0;
    int dead_operands = 0;
    bool dead = false;
    bool fired = false;
  };
  struct Invariant {
    int item;
    Tensor value;
    bool dead;
  };
  Frame* parent = nullptr;
  std::int64_t parent_iteration = 0;
  std::string name;
  struct Iteration {
    std::unordered_map<int, ItemState> states;
    int tokens = 0;  // queued, and open child frames
  };
  std::map<std::int64_t, Iteration> iterations;
  std::vector<Invariant> invariants;  // results of Enter nodes that hold for every iteration
  std::int64_t newest = 0;
  int pending_enters = 0;
  int outstanding = 0;  // sum of the iterations' tokens
  std::map<int, bool> exited;  // exit items that passed on a live value
  std::map<std::pair<std::string, std::int64_t>, std::unique_ptr<Frame>> children;
};

class FrameExecutor::Run {
 public:
  Run(const Plan& plan, std::vector<Tensor> fed, ir::Services& services, ThreadTeam* team, const NodeObserver* observer)
      : plan_(plan), fed_(std::move(fed)), services_(services), team_(team), observer_(observer) {}

  std::vector<Tensor> run() {
    root_.name = "";
    root_.iterations[0];
    for (std::size_t i = 0; i < plan_.items.size(); ++i) {
      const Plan::Item& item = plan_.items[i];
      const bool fed_merge = item.any_fed && item.step->node->is("merge");
      if (item.control_operands > 0 || (item.data_operands > 0 && !fed_merge)) continue;
      state(root_, 0, static_cast<int>(i)).fired = true;
      ready(root_, 0, static_cast<int>(i), false);
    }
    while (!queue_.empty()) {
      const Token token = queue_.front();
      queue_.pop_front();
      process(token);
      finish_token(*token.frame, token.iteration);
    }
    std::vector<Tensor> results;
    for (const Plan::Fetch& fetch : plan_.fetches) {
      if (fetch.item < 0) {
        results.push_back(fed_[static_cast<std::size_t>(fetch.index)]);
        continue;
      }
      const auto it = results_.find({fetch.item, fetch.index});
      if (it == results_.end()) {
        fail(ErrorCode::kInvalidArgument, "{} gave no value: it lies on a branch that was not taken",
             plan_.items[static_cast<std::size_t>(fetch.item)].step->node->describe());
      }
      results.push_back(it->second);
    }
    return results;
  }

 private:
  struct Token {
    Frame* frame;
    std::int64_t iteration;
    int item;
    bool dead;
  };

  Frame::ItemState& state(Frame& frame, std::int64_t iteration, int index) {
    auto& states = frame.iterations[iteration].states;
    const auto [it, fresh] = states.try_emplace(index);
    if (fresh) {
      const Plan::Item& item = plan_.items[static_cast<std::size_t>(index)];
      it->second.operands.resize(item.step->operands.size());
      it->second.pending = item.data_operands + item.control_operands;
    }
    return it->second;
  }

  void ready(Frame& frame, std::int64_t iteration, int item, bool dead) {
    ++frame.outstanding;
    ++frame.iterations[iteration].tokens;
    queue_.push_back({&frame, iteration, item, dead});
  }

  // A value (or the news that it is dead) reaches an operand.
  void arrive(Frame& frame, std::int64_t iteration, const Edge& edge, const Tensor& value, bool dead) {
    const Plan::Item& item = plan_.items[static_cast<std::size_t>(edge.consumer)];
    Frame::ItemState& s = state(frame, iteration, edge.consumer);
    if (s.fired) return;
    const bool control = edge.operand < 0;
    if (item.step->node->is("merge")) {
      arrive_at_merge(frame, iteration, edge, item, s, value, dead);
      return;
    }
    --s.pending;
    if (dead) s.dead = true;
    if (!control && !dead) s.operands[static_cast<std::size_t>(edge.operand)] = {value, true};
    if (s.pending == 0) {
      s.fired = true;
      ready(frame, iteration, edge.consumer, s.dead);
    }
  }

  // Fires on the first live operand once the control edges are there, or dead when all operands of this iteration are.
  void arrive_at_merge(Frame& frame, std::int64_t iteration, const Edge& edge, const Plan::Item& item, Frame::ItemState& s,
                       const Tensor& value, bool dead) {
    const bool control = edge.operand < 0;
    if (control) {
      ++s.dead_operands;  // counts control arrivals in the upper part below
      s.dead_operands += kControlUnit - 1;
    } else if (dead) {
      ++s.dead_operands;
    } else if (std::none_of(s.operands.begin(), s.operands.end(), [](const Frame::Arrived& a) { return a.there; })) {
      s.operands[static_cast<std::size_t>(edge.operand)] = {value, true};
    }
    const bool controls_there = s.dead_operands / kControlUnit == item.control_operands;
    const bool live = item.any_fed || std::any_of(s.operands.begin(), s.operands.end(), [](const Frame::Arrived& a) { return a.there; });
    const int expected = iteration == 0 ? item.data_operands - item.back_operands : item.back_operands;
    const bool all_dead = s.dead_operands % kControlUnit == expected;
    if (controls_there && (live || all_dead)) {
      s.fired = true;
      ready(frame, iteration, edge.consumer, !live);
    }
  }

  void process(const Token& token) {
    const Plan::Item& item = plan_.items[static_cast<std::size_t>(token.item)];
    const ir::Node& node = *item.step->node;
    std::vector<Tensor> outputs(node.outputs.size());
    std::vector<bool> dead(node.outputs.size(), token.dead);
    if (!token.dead) {
      std::vector<Tensor> inputs = collect(token, item);
      if (node.op->is(ir::kControlFlow)) {
        run_control(token, node, inputs, outputs, dead);
      } else {
        run_step(*item.step, inputs, outputs, services_, team_, observer_);
      }
    }
    remember_fetches(token, outputs, dead);
    Frame::ItemState& done = state(*token.frame, token.iteration, token.item);
    done.operands.clear();
    done.fired = true;
    propagate(token, item, outputs, dead);
  }

  std::vector<Tensor> collect(const Token& token, const Plan::Item& item) {
    Frame::ItemState& s = state(*token.frame, token.iteration, token.item);
    std::vector<Tensor> inputs(item.step->operands.size());
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const int feed = item.fed_operands[i];
      inputs[i] = feed >= 0 ? fed_[static_cast<std::size_t>(feed)] : std::move(s.operands[i].value);
    }
    if (item.step->node->is("merge")) {  // keep which operand arrived
      merge_choice_ = 0;
      for (std::size_t i = 0; i < s.operands.size(); ++i) {
        if (s.operands[i].there || item.fed_operands[i] >= 0) merge_choice_ = static_cast<std::int32_t>(i);
      }
    }
    return inputs;
  }

  void run_control(const Token& token, const ir::Node& node, std::vector<Tensor>& inputs, std::vector<Tensor>& outputs,
                   std::vector<bool>& dead) {
    if (node.is("switch") || node.is("switch_n")) {
      const std::size_t taken = branch(node, inputs.at(1));
      for (std::size_t i = 0; i < outputs.size(); ++i) {
        dead[i] = i != taken;
        if (!dead[i]) outputs[i] = inputs[0];
      }
    } else if (node.is("merge")) {
      outputs[0] = std::move(inputs[static_cast<std::size_t>(merge_choice_)]);
      if (outputs.size() > 1) outputs[1] = Tensor::scalar<std::int32_t>(merge_choice_);
    } else {
      if (node.is("next_iteration") && token.iteration >= kMaxIterations) {
        fail(ErrorCode::kInvalidModel, "{}: the loop ran {} times", node.describe(), token.iteration);
      }
      outputs[0] = std::move(inputs.at(0));
    }
  }

  std::size_t branch(const ir::Node& node, const Tensor& selector) {
    if (node.is("switch")) {
      if (selector.dtype() != DataType::kBool || selector.num_elements() != 1) {
        fail(ErrorCode::kInvalidArgument, "{}: the predicate must be one bool, it is {}", node.describe(), selector.describe());
      }
      return selector.flat<bool>()[0] ? 1 : 0;
    }
    if (selector.dtype() != DataType::kInt32 || selector.num_elements() != 1) {
      fail(ErrorCode::kInvalidArgument, "{}: the index must be one int32, it is {}", node.describe(), selector.describe());
    }
    const auto index = selector.flat<std::int32_t>()[0];
    const auto last = static_cast<std::int32_t>(node.outputs.size()) - 1;
    return static_cast<std::size_t>(index < 0 || index > last ? last : index);
  }

  void remember_fetches(const Token& token, const std::vector<Tensor>& outputs, const std::vector<bool>& dead) {
    if (token.frame != &root_ || !plan_.items[static_cast<std::size_t>(token.item)].fetched) return;
    for (const Plan::Fetch& fetch : plan_.fetches) {
      if (fetch.item == token.item && !dead[static_cast<std::size_t>(fetch.index)]) {
        results_[{fetch.item, fetch.index}] = outputs[static_cast<std::size_t>(fetch.index)];
      }
    }
  }

  void propagate(const Token& token, const Plan::Item& item, const std::vector<Tensor>& outputs, const std::vector<bool>& dead) {
    const ir::Node& node = *item.step->node;
    if (node.is("enter")) {
      enter(token, item, outputs, dead);
    } else if (node.is("exit")) {
      if (token.dead) return;  // known for sure only when the frame is done
      token.frame->exited[token.item] = true;
      if (token.frame->parent == nullptr) fail(ErrorCode::kInvalidModel, "{} leaves no frame", node.describe());
      send(*token.frame->parent, token.frame->parent_iteration, item, outputs, dead, false);
      remember_exit(token, outputs);
    } else if (node.is("next_iteration")) {
      if (!token.dead) {
        open_iteration(*token.frame, token.iteration + 1);
        send(*token.frame, token.iteration + 1, item, outputs, dead, false);
      }
    } else {
      send(*token.frame, token.iteration, item, outputs, dead, token.dead);
    }
  }

  void remember_exit(const Token& token, const std::vector<Tensor>& outputs) {
    if (token.frame->parent != &root_ || !plan_.items[static_cast<std::size_t>(token.item)].fetched) return;
    for (const Plan::Fetch& fetch : plan_.fetches) {
      if (fetch.item == token.item) results_[{fetch.item, fetch.index}] = outputs[0];
    }
  }

  void send(Frame& frame, std::int64_t iteration, const Plan::Item& item, const std::vector<Tensor>& outputs,
            const std::vector<bool>& dead, bool node_dead) {
    static const Tensor kNothing;
    for (const Edge& edge : item.out) {
      if (edge.output < 0) {
        arrive(frame, iteration, edge, kNothing, node_dead);
      } else {
        const auto output = static_cast<std::size_t>(edge.output);
        arrive(frame, iteration, edge, outputs[output], dead[output]);
      }
    }
  }

  void enter(const Token& token, const Plan::Item& item, const std::vector<Tensor>& outputs, const std::vector<bool>& dead) {
    const ir::Node& node = *item.step->node;
    const auto name = node.attr<std::string>("frame_name");
    auto& slot = token.frame->children[{name, token.iteration}];
    if (!slot) {
      slot = std::make_unique<Frame>();
      slot->parent = token.frame;
      slot->parent_iteration = token.iteration;
      slot->name = name;
      slot->pending_enters = plan_.enters_per_frame.at(name);
      slot->iterations[0];
      ++token.frame->outstanding;  // the child keeps its parent open
      ++token.frame->iterations[token.iteration].tokens;
    }
    Frame& frame = *slot;
    --frame.pending_enters;
    ++frame.outstanding;  // until this function is done
    ++frame.iterations[0].tokens;
    if (node.attr_or<bool>("is_constant", false)) {
      frame.invariants.push_back({token.item, outputs[0], dead[0]});
      for (std::int64_t i = frame.iterations.begin()->first; i <= frame.newest; ++i) {
        send(frame, i, item, outputs, dead, token.dead);
      }
    } else {
      send(frame, 0, item, outputs, dead, token.dead);
    }
    finish_token(frame, 0);
  }

  void open_iteration(Frame& frame, std::int64_t iteration) {
    if (iteration <= frame.newest) return;
    frame.newest = iteration;
    frame.iterations[iteration];
    for (const Frame::Invariant& invariant : frame.invariants) {
      send(frame, iteration, plan_.items[static_cast<std::size_t>(invariant.item)], {invariant.value}, {invariant.dead},
           invariant.dead);
    }
  }

  // One token of the frame is done; when it was the last, exits without a live value become dead and the frame closes.
  void finish_token(Frame& frame, std::int64_t iteration) {
    --frame.iterations[iteration].tokens;
    while (frame.pending_enters == 0 && frame.iterations.size() > 1 && frame.iterations.begin()->second.tokens == 0) {
      frame.iterations.erase(frame.iterations.begin());  // nothing can reach it any more
    }
    if (--frame.outstanding > 0 || frame.pending_enters > 0 || frame.parent == nullptr) return;
    Frame& parent = *frame.parent;
    const auto exits = plan_.exits.find(frame.name);
    if (exits != plan_.exits.end()) {
      for (int exit : exits->second) {
        if (frame.exited.contains(exit)) continue;
        const Plan::Item& item = plan_.items[static_cast<std::size_t>(exit)];
        send(parent, frame.parent_iteration, item, {Tensor()}, {true}, true);
      }
    }
    const std::int64_t parent_iteration = frame.parent_iteration;
    parent.children.erase({std::string(frame.name), parent_iteration});
    finish_token(parent, parent_iteration);
  }

  // Control arrivals at a merge are counted in units above the dead operands; no merge has that many operands.
  static constexpr int kControlUnit = 1 << 20;

  const Plan& plan_;
  std::vector<Tensor> fed_;
  ir::Services& services_;
  ThreadTeam* team_;
  const NodeObserver* observer_;
  Frame root_;
  std::deque<Token> queue_;
  std::int32_t merge_choice_ = 0;
  std::map<std::pair<int, int>, Tensor> results_;
};

// The frame a node runs in follows from its operands: Enter opens one, Exit closes it.
void FrameExecutor::find_exits(const StepList& list, const std::unordered_map<const ir::Node*, int>& index, Plan& plan) {
  struct Place {
    int parent;
    int depth;
    std::string name;
  };
  std::vector<Place> frames{{0, 0, {}}};
  std::map<std::pair<int, std::string>, int> known;
  std::vector<int> inside(list.steps.size(), 0);
  for (std::size_t i = 0; i < list.steps.size(); ++i) {
    const ir::Node& node = *list.steps[i].node;
    const auto inherit = [&](const ir::Node* producer) {
      const auto it = index.find(producer);
      if (it == index.end() || it->second >= static_cast<int>(i)) return;
      int frame = inside[static_cast<std::size_t>(it->second)];
      if (producer->is("exit")) frame = frames[static_cast<std::size_t>(frame)].parent;
      if (frames[static_cast<std::size_t>(frame)].depth >= frames[static_cast<std::size_t>(inside[i])].depth) inside[i] = frame;
    };
    for (const ir::Value& input : node.inputs) inherit(input.node);
    for (const ir::Node* control : node.control_inputs) inherit(control);
    if (node.is("enter")) {
      const auto [it, fresh] = known.try_emplace({inside[i], node.attr<std::string>("frame_name")}, static_cast<int>(frames.size()));
      if (fresh) frames.push_back({inside[i], frames[static_cast<std::size_t>(inside[i])].depth + 1, it->first.second});
      inside[i] = it->second;
      if (frames[static_cast<std::size_t>(inside[i])].depth > kMaxFrameDepth) {
        fail(ErrorCode::kInvalidModel, "{}: loops are nested more than {} deep", node.describe(), kMaxFrameDepth);
      }
    }
    if (node.is("exit")) plan.exits[frames[static_cast<std::size_t>(inside[i])].name].push_back(static_cast<int>(i));
  }
}

FrameExecutor::FrameExecutor(const StepList& list, std::vector<ir::Value> feeds, std::vector<ir::Value> fetches) {
  auto plan = std::make_unique<Plan>();
  std::unordered_map<const ir::Node*, int> index;
  for (std::size_t i = 0; i < list.steps.size(); ++i) index[list.steps[i].node] = static_cast<int>(i);
  plan->items.resize(list.steps.size());
  std::unordered_map<ir::Value, int, ir::ValueHash> fed;
  for (std::size_t i = 0; i < feeds.size(); ++i) fed.try_emplace(feeds[i], static_cast<int>(i));
  const auto feed_of = [&](const ir::Value& value) {
    const auto it = fed.find(value);
    return it == fed.end() ? -1 : it->second;
  };
  for (std::size_t i = 0; i < list.steps.size(); ++i) {
    Plan::Item& item = plan->items[i];
    item.step = &list.steps[i];
    const ir::Node& node = *item.step->node;
    if (node.op->is(ir::kControlFlow)) check_arity(node);
    for (std::size_t operand = 0; operand < node.inputs.size(); ++operand) {
      const ir::Value& input = node.inputs[operand];
      item.fed_operands.push_back(feed_of(input));
      if (item.fed_operands.back() >= 0) {
        item.any_fed = true;
        continue;
      }
      ++item.data_operands;
      if (node.is("merge") && input.node->is("next_iteration")) ++item.back_operands;
      plan->items[static_cast<std::size_t>(index.at(input.node))].out.push_back(
          {input.index, static_cast<int>(i), static_cast<int>(operand)});
    }
    for (const ir::Node* control : node.control_inputs) {
      const auto producer = index.find(control);
      if (producer == index.end()) continue;  // fed
      ++item.control_operands;
      plan->items[static_cast<std::size_t>(producer->second)].out.push_back({-1, static_cast<int>(i), -1});
    }
    if (node.is("enter")) ++plan->enters_per_frame[node.attr<std::string>("frame_name")];
  }
  find_exits(list, index, *plan);
  for (const ir::Value& fetch : fetches) {
    const int feed = feed_of(fetch);
    plan->fetches.push_back(feed >= 0 ? Plan::Fetch{-1, feed} : Plan::Fetch{index.at(fetch.node), fetch.index});
    if (feed < 0) plan->items[static_cast<std::size_t>(index.at(fetch.node))].fetched = true;
  }
  plan->feeds = std::move(feeds);
  plan_ = std::move(plan);
}

FrameExecutor::~FrameExecutor() = default;

std::vector<Tensor> FrameExecutor::run(std::vector<Tensor> fed, ir::Services& services, ThreadTeam* team,
                                       const NodeObserver* observer) const {
  return Run(*plan_, std::move(fed), services, team, observer).run();
}

}  // namespace tenon::runtime
