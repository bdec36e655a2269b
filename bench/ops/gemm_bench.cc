// The matrix products of BERT-base (128 tokens) and of classifiers, Tenon's kernels beside oneDNN where the build found it.
// Names read product,m x n x k/threads. Weights are as many copies as exceed the caches: in a network they are never warm.
#include <string>
#include <vector>

#include "backends/cpu/kernels/gemm.h"
#include "bench/ops/kernel_bench.h"

#ifdef TENON_BENCH_ONEDNN
#include "bench/ops/onednn_peer.h"
#endif

namespace tenon::bench {
namespace {

struct Product {
  const char* name;
  int64_t m, n, k;
  bool gelu;
  double flops() const { return 2.0 * static_cast<double>(m * n * k); }
};

constexpr Product kProducts[] = {
    {"bert_qkv", 128, 768, 768, false},   {"bert_ffn1", 128, 3072, 768, true},   {"bert_ffn2", 128, 768, 3072, false},
    {"bert8_qkv", 1024, 768, 768, false}, {"bert8_ffn1", 1024, 3072, 768, true}, {"bert8_ffn2", 1024, 768, 3072, false},
    {"resnet_fc", 1, 1000, 2048, false},  {"resnet8_fc", 8, 1000, 2048, false},  {"mobilenet_fc", 1, 1000, 1280, false},
    {"token_ffn1", 1, 3072, 768, true},
};

void run_tenon(benchmark::State& state, const Product& p, int threads) {
  const cpu::Epilogue epilogue{.activation = p.gelu ? cpu::Activation::kGeluErf : cpu::Activation::kNone};
  const auto plan = cpu::GemmPlan::make({p.m, p.n, p.k}, epilogue);
  const size_t bytes = cpu::gemm_packed_size(p.k, p.n);
  std::vector<Buffer> weights(static_cast<size_t>(cpu_info().l3_bytes) * 2 / bytes + 1);
  const Buffer b = buffer(static_cast<size_t>(p.k * p.n));
  for (Buffer& packed : weights) {
    packed = buffer(bytes / sizeof(float));
    cpu::gemm_pack(b.get(), p.n, false, p.k, p.n, packed.get());
  }
  const Buffer a = buffer(static_cast<size_t>(p.m * p.k)), c = buffer(static_cast<size_t>(p.m * p.n));
  const Buffer bias = buffer(static_cast<size_t>(p.n)), scratch = buffer(plan.scratch_size(threads) / sizeof(float));
  ThreadTeam team(threads);
  size_t next = 0;
  report(state, p.flops(), threads, [&] {
    plan.run({.a = a.get(),
              .lda = p.k,
              .packed = weights[next++ % weights.size()].get(),
              .bias = bias.get(),
              .c = c.get(),
              .ldc = p.n,
              .scratch = scratch.get()},
             team);
  });
}

#ifdef TENON_BENCH_ONEDNN
void run_onednn(benchmark::State& state, const Product& p, int threads) {
  std::vector<std::unique_ptr<OneDnnMatmul>> products(static_cast<size_t>(cpu_info().l3_bytes / 2 / (p.n * p.k)) + 1);
  for (auto& product : products) product = std::make_unique<OneDnnMatmul>(1, p.m, p.n, p.k, p.gelu, threads);
  size_t next = 0;
  report(state, p.flops(), threads, [&] { products[next++ % products.size()]->run(); });
}
#endif

// Attention of BERT-base: scores of 12 heads, then their mix of values.
void run_attention(benchmark::State& state, bool scores, int64_t batch, int threads) {
  constexpr int64_t kTokens = 128, kHeads = 12, kDepth = 64, kWidth = kHeads * kDepth;
  const int64_t n = scores ? kTokens : kDepth, k = scores ? kDepth : kTokens;
  const auto plan = cpu::BatchedGemmPlan::make({batch, kHeads, kTokens, n, k, false, scores, scores ? 0.125f : 1.0f}, {});
  const Buffer rows = buffer(static_cast<size_t>(batch * kTokens * kWidth)),
               out = buffer(static_cast<size_t>(batch * kTokens * kWidth));
  const Buffer square = buffer(static_cast<size_t>(batch * kHeads * kTokens * kTokens));
  const Buffer scratch = buffer(plan.scratch_size(threads) / sizeof(float));
  cpu::BatchedGemmArgs args{.a = rows.get(),
                            .lda = kWidth,
                            .a_batch0 = kTokens * kWidth,
                            .a_batch1 = kDepth,
                            .b = rows.get(),
                            .ldb = kWidth,
                            .b_batch0 = kTokens * kWidth,
                            .b_batch1 = kDepth,
                            .c = square.get(),
                            .ldc = kTokens,
                            .c_batch0 = kHeads * kTokens * kTokens,
                            .c_batch1 = kTokens * kTokens,
                            .scratch = scratch.get()};
  if (!scores) {
    args.a = square.get();
    args.lda = kTokens;
    args.a_batch0 = kHeads * kTokens * kTokens;
    args.a_batch1 = kTokens * kTokens;
    args.c = out.get();
    args.ldc = kWidth;
    args.c_batch0 = kTokens * kWidth;
    args.c_batch1 = kDepth;
  }
  ThreadTeam team(threads);
  report(state, 2.0 * static_cast<double>(batch * kHeads * kTokens * n * k), threads, [&] { plan.run(args, team); });
}

void register_products() {
  const auto add = [](const std::string& name, auto body) {
    benchmark::RegisterBenchmark(name.c_str(), body)->UseManualTime()->MinTime(0.05);
  };
  for (int threads : {1, 2}) {
    const std::string suffix = "/t" + std::to_string(threads);
    for (const Product& p : kProducts) {
      const std::string name =
          std::string(p.name) + "," + std::to_string(p.m) + "x" + std::to_string(p.n) + "x" + std::to_string(p.k) + suffix;
      add(name + "/tenon", [=](benchmark::State& s) { run_tenon(s, p, threads); });
#ifdef TENON_BENCH_ONEDNN
      add(name + "/onednn", [=](benchmark::State& s) { run_onednn(s, p, threads); });
#endif
    }
    for (int64_t batch : {1, 8}) {
      const std::string b = "/b" + std::to_string(batch) + suffix;
      add("attention_scores" + b, [=](benchmark::State& s) { run_attention(s, true, batch, threads); });
      add("attention_mix" + b, [=](benchmark::State& s) { run_attention(s, false, batch, threads); });
    }
  }
}

}  // namespace
}  // namespace tenon::bench

int main(int argc, char** argv) {
  tenon::bench::register_products();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
