#include "tests/bench/ps_bench_compressed.h"

#include <string>
#include <utility>

#include <ray/parameter_server.h>

#include "tests/cluster/machines.h"

namespace raylet::bench {
namespace {

namespace ps = ray::ps;

struct Measured {
  std::vector<double> seconds;   // of each round
  double megabytes_a_round = 0;  // that the worker's machine sent
};

double MegabytesSent(const test::Machine& machine) {
  const auto status = machine.Status();
  return status.at("transfers").at("bytes_sent").get<double>() / 1e6;
}

// The worker lives on `here`, the shard on the other machine.
Measured Train(const test::Machine& here, size_t count, int rounds, const ps::Compression& compression) {
  const auto server = ps::Parameters<float>::Create(
      count, {.optimizer = ps::Sgd{.rate = 0.1}, .resources = {{"there", 0.1}}, .compression = compression});
  auto worker = server.Worker(0);
  Measured measured;
  double before = 0;
  for (int round = -2; round < rounds; ++round) {  // the first ones are not counted
    if (round == 0) before = MegabytesSent(here);
    const double start = NowSeconds();
    const auto parameters = worker.Get();
    auto gradient = worker.NewGradient();
    for (size_t i = 0; i < gradient.size(); ++i) gradient.spans()[0][i] = parameters[i] - static_cast<float>(i % 1000);
    worker.Update(std::move(gradient));
    if (round >= 0) measured.seconds.push_back(NowSeconds() - start);
  }
  measured.megabytes_a_round = (MegabytesSent(here) - before) / rounds;
  return measured;
}

}  // namespace

void AddCompressed(std::vector<Figure>& figures, bool brief) {
  const size_t count = brief ? 250'000 : 2'500'000;
  const int rounds = brief ? 4 : 25;
  const test::RunFolder folder;
  const std::string token = test::WriteToken(folder);
  const test::Machine a(token, {"--num-cpus", "2"}, "1G");
  const test::Machine b(token, {"--num-cpus", "2", "--resources", R"({"there": 1})", "--peers", a.address}, "1G");
  ray::RayConfig config;
  config.address = a.socket();
  ray::Init(config);
  const std::pair<const char*, ps::Compression> kinds[] = {{"whole", ps::Compression::None()},
                                                           {"16-bit floats", ps::Compression::Half()},
                                                           {"8 bits", ps::Compression::Byte()},
                                                           {"the largest 1 %", ps::Compression::Top(0.01)}};
  double whole_seconds = 0, whole_megabytes = 0;
  for (const auto& [name, compression] : kinds) {
    const Measured measured = Train(a, count, rounds, compression);
    const double median = Percentile(measured.seconds, 50);
    if (whole_seconds == 0) {
      whole_seconds = median;
      whole_megabytes = measured.megabytes_a_round;
    }
    figures.push_back(TimeFigure(std::string("round over two machines, ") + name, measured.seconds, 1e3, "ms",
                                 "with the whole gradient", whole_seconds * 1e3));
    Figure bytes;
    bytes.name = std::string("sent in a round, ") + name;
    bytes.p50 = bytes.p99 = measured.megabytes_a_round;
    bytes.unit = "MB";
    bytes.limit_name = "the whole gradient";
    bytes.limit = whole_megabytes;
    figures.push_back(bytes);
  }
  ray::Shutdown();
}

}  // namespace raylet::bench
