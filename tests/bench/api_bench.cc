// api_bench: one program for two engines. It uses the C++ API that Ray has, and nothing else, so that the same source
// is measured on Ray and here (compare_ray). Each row has a number of seconds for its repetitions. A row that is not
// over at its deadline is given up: the program ends with code 3, and --from goes on behind it. Rows with large results
// are compared with what this program needs to make and drop such results itself, measured in turn with them. Usage:
// api_bench --list | [--json] [--from ROW] [--only ROW] [--row-seconds S] [--deadline S] [--size-divisor N]
#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <ray/api.h>

using Numbers = std::vector<double>;

int Increment(int value) { return value + 1; }
RAY_REMOTE(Increment);

class Target {
 public:
  static Target* Create() { return new Target(); }
  int Increment(int by) { return value_ += by; }
  int Size(const std::vector<char>& bytes) { return static_cast<int>(bytes.size()); }

 private:
  int value_ = 0;
};
RAY_REMOTE(Target::Create, &Target::Increment, &Target::Size);

// The parameter server of Ray's post of 2018, in shards.
class Server {
 public:
  static Server* Create(int size) { return new Server(size); }
  explicit Server(int size) : parameters_(static_cast<size_t>(size)) {}
  Numbers Get() { return parameters_; }
  int Update(const Numbers& gradient) {
    for (size_t i = 0; i < parameters_.size(); ++i) parameters_[i] += gradient[i];
    return ++version_;
  }

 private:
  Numbers parameters_;
  int version_ = 0;
};
RAY_REMOTE(Server::Create, &Server::Get, &Server::Update);

constexpr int kServers = 2;
constexpr int kWorkers = 2;

double NowSeconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::string ServerName(const std::string& group, int number) { return group + "-" + std::to_string(number); }

// One handle for each server and process: a look-up by name is a call.
ray::ActorHandle<Server>& FindServer(const std::string& name) {
  static std::map<std::string, ray::ActorHandle<Server>> found;
  const auto known = found.find(name);
  return known != found.end() ? known->second : found.emplace(name, *ray::GetActor<Server>(name)).first->second;
}

// A worker of the post without its pause: it gets all shards, and sends a gradient for each. Returns the seconds of
// each round.
Numbers Work(const std::string& group, int rounds, int size) {
  std::vector<ray::ActorHandle<Server>> servers;
  for (int i = 0; i < kServers; ++i) servers.push_back(FindServer(ServerName(group, i)));
  const Numbers gradient(static_cast<size_t>(size), 1.0);
  Numbers seconds;
  for (int round = 0; round < rounds; ++round) {
    const double start = NowSeconds();
    std::vector<ray::ObjectRef<Numbers>> shards;
    for (auto& server : servers) shards.push_back(server.Task(&Server::Get).Remote());
    for (const auto& shard : shards) shard.Get();
    std::vector<ray::ObjectRef<int>> updates;
    for (auto& server : servers) updates.push_back(server.Task(&Server::Update).Remote(gradient));
    for (const auto& update : updates) update.Get();
    seconds.push_back(NowSeconds() - start);
  }
  return seconds;
}
RAY_REMOTE(Work);

namespace {

constexpr int kPipelined = 2'000;
constexpr int kMany = 10'000;
constexpr size_t kMiB = size_t{1} << 20;

struct Flags {
  bool list = false;
  bool json = false;
  std::string from, only;
  double row_seconds = 3;
  double deadline_seconds = 60;
  size_t size_divisor = 1;  // of large values and of counts, for a quick look
};

// Ends the program when a row takes too long. Owned by main, which tells it of each row.
class Watchdog {
 public:
  Watchdog(bool json, double seconds) : json_(json), seconds_(seconds), thread_([this] { Watch(); }) {}
  ~Watchdog() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      over_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }
  void Begin(const std::string& row) {
    if (json_) std::printf("{\"name\": \"%s\", \"begun\": true}\n", row.c_str());
    std::fflush(stdout);
    const std::lock_guard<std::mutex> lock(mutex_);
    row_ = row;
    end_ = std::chrono::steady_clock::now() +
           std::chrono::duration_cast<std::chrono::steady_clock::duration>(std::chrono::duration<double>(seconds_));
    changed_.notify_all();
  }

 private:
  void Watch() {
    std::unique_lock<std::mutex> lock(mutex_);
    while (!over_) {
      if (row_.empty()) {
        changed_.wait(lock);
        continue;
      }
      changed_.wait_until(lock, end_);
      if (over_ || std::chrono::steady_clock::now() < end_) continue;
      if (json_)
        std::printf("{\"name\": \"%s\", \"deadline_s\": %g}\n", row_.c_str(), seconds_);
      else
        std::printf("%-52s not over after %g s\n", row_.c_str(), seconds_);
      std::fflush(stdout);
      std::_Exit(3);
    }
  }

  const bool json_;
  const double seconds_;
  std::mutex mutex_;  // guards row_, end_ and over_
  std::condition_variable changed_;
  std::string row_;
  std::chrono::steady_clock::time_point end_;
  bool over_ = false;
  std::thread thread_;
};

double Percentile(Numbers values, double percent) {
  std::sort(values.begin(), values.end());
  const auto rank = static_cast<size_t>(percent / 100 * static_cast<double>(values.size() - 1) + 0.5);
  return values[rank];
}

struct Measured {
  Measured(Numbers of_row) : values(std::move(of_row)) {}  // NOLINT(google-explicit-constructor)
  Measured() = default;
  Numbers values;
  Numbers beside;  // of rows that are compared
};

// Repeats for the row's seconds, and at least once.
class Row {
 public:
  explicit Row(const Flags& flags) : flags_(flags) {}

  Numbers Times(const std::function<void()>& call, int count_max = 1 << 20) const {
    return Samples(
        [&] {
          const double start = NowSeconds();
          call();
          return NowSeconds() - start;
        },
        count_max);
  }
  // The call and what it is compared with, in turn.
  Measured TimesBeside(const std::function<void()>& call, const std::function<void()>& other) const {
    Measured measured;
    measured.values = Samples([&] {
      double start = NowSeconds();
      other();
      measured.beside.push_back(NowSeconds() - start);
      start = NowSeconds();
      call();
      return NowSeconds() - start;
    });
    return measured;
  }
  Numbers Samples(const std::function<double()>& sample, int count_max = 1 << 20) const {
    Numbers values;
    const double end = NowSeconds() + flags_.row_seconds;
    do values.push_back(sample());
    while (NowSeconds() < end && static_cast<int>(values.size()) < count_max);
    return values;
  }
  // Calls per second of batches.
  template <class Submit>
  Numbers Rates(int count, Submit submit) const {
    return Samples([&] {
      std::vector<decltype(submit())> results;
      results.reserve(static_cast<size_t>(count));
      const double start = NowSeconds();
      for (int i = 0; i < count; ++i) results.push_back(submit());
      ray::Get(results);
      return count / (NowSeconds() - start);
    });
  }
  int Count(int count) const { return std::max(1, count / static_cast<int>(flags_.size_divisor)); }
  size_t Bytes(size_t bytes) const { return std::max<size_t>(1, bytes / flags_.size_divisor); }

 private:
  const Flags& flags_;
};

struct RowOf {
  std::string name;
  std::string unit;  // "us", "ms": of a time in seconds; otherwise of a rate, whose p99 is its slow tail
  std::function<Measured(const Row&)> run;
  std::string beside_name = {};  // empty: it is compared with nothing
};

ray::ActorHandle<Target>& TheTarget() {
  static ray::ActorHandle<Target> target = [] {
    ray::ActorHandle<Target> made = ray::Actor(Target::Create).Remote();
    made.Task(&Target::Increment).Remote(1).Get();
    return made;
  }();
  return target;
}

std::vector<ray::ObjectRef<int>> PutMany(const Row& row) {
  std::vector<ray::ObjectRef<int>> refs;
  for (int i = 0; i < row.Count(kMany); ++i) refs.push_back(ray::Put(i));
  return refs;
}

// Rounds per second of both workers together.
Numbers ParameterServer(const Row& row, int doubles) {
  static int number = 0;
  const std::string group = "servers-" + std::to_string(number++);
  const int size = std::max(1, row.Count(doubles) / kServers);
  std::vector<ray::ActorHandle<Server>> servers;
  for (int i = 0; i < kServers; ++i)
    servers.push_back(ray::Actor(Server::Create).SetName(ServerName(group, i)).Remote(size));
  const auto work = [&](int rounds) {
    std::vector<ray::ObjectRef<Numbers>> working;
    for (int i = 0; i < kWorkers; ++i) working.push_back(ray::Task(Work).Remote(group, rounds, size));
    Numbers seconds;
    for (const auto& each : ray::Get(working)) seconds.insert(seconds.end(), each->begin(), each->end());
    return seconds;
  };
  double round_seconds = Percentile(work(2), 50);
  const Numbers rates = row.Samples([&] {
    const Numbers seconds = work(std::min(20'000, std::max(1, static_cast<int>(0.5 / round_seconds))));
    round_seconds = std::max(1e-6, Percentile(seconds, 50));
    double sum = 0;
    for (const double each : seconds) sum += each;
    return kWorkers * static_cast<double>(seconds.size()) / sum;
  });
  for (auto& server : servers) server.Kill();
  return rates;
}

std::vector<RowOf> Rows() {
  return {
      {"actor call, one at a time", "us",
       [](const Row& row) {
         auto& target = TheTarget();
         return row.Times([&] { target.Task(&Target::Increment).Remote(1).Get(); });
       }},
      {"task, one at a time", "us",
       [](const Row& row) {
         ray::Task(Increment).Remote(1).Get();
         return row.Times([] { ray::Task(Increment).Remote(1).Get(); });
       }},
      {"actor calls, pipelined", "calls/s",
       [](const Row& row) {
         auto& target = TheTarget();
         return row.Rates(row.Count(kPipelined), [&] { return target.Task(&Target::Increment).Remote(1); });
       }},
      {"tasks, pipelined", "tasks/s",
       [](const Row& row) {
         ray::Task(Increment).Remote(1).Get();
         return row.Rates(row.Count(kPipelined), [] { return ray::Task(Increment).Remote(1); });
       }},
      {"Put of an int", "us",
       [](const Row& row) {
         int value = 0;
         return row.Times([&] { ray::Put(++value); });
       }},
      {"Get of an int", "us",
       [](const Row& row) {
         const auto ref = ray::Put(7);
         return row.Times([&] { ref.Get(); });
       }},
      {"Put of 100 MiB vector<char>", "ms",
       [](const Row& row) {
         const std::vector<char> bytes(row.Bytes(100 * kMiB), 'x');
         ray::Put(bytes);
         return row.Times([&] { ray::Put(bytes); }, 50);
       }},
      {"Get of 100 MiB vector<char>", "ms",
       [](const Row& row) {
         const auto ref = ray::Put(std::vector<char>(row.Bytes(100 * kMiB), 'x'));
         return row.Times([&] { ref.Get(); }, 50);
       }},
      {"actor call with 1 MiB vector<char>", "ms",
       [](const Row& row) {
         const std::vector<char> bytes(row.Bytes(kMiB), 'x');
         auto& target = TheTarget();
         return row.Times([&] { target.Task(&Target::Size).Remote(bytes).Get(); });
       }},
      {"Wait for 1 of 10,000", "ms",
       [](const Row& row) {
         const auto refs = PutMany(row);
         return row.TimesBeside([&] { ray::Wait(refs, 1, 60'000); },
                                [&] {
                                  const std::list<ray::ObjectRef<int>> ready(refs.begin(), refs.begin() + 1);
                                  const std::list<ray::ObjectRef<int>> unready(refs.begin() + 1, refs.end());
                                });
       },
       "two lists of these references"},
      {"Get of 10,000 ints", "ms",
       [](const Row& row) {
         const auto refs = PutMany(row);
         return row.TimesBeside([&] { ray::Get(refs); },
                                [&] {
                                  std::vector<std::shared_ptr<int>> values;
                                  values.reserve(refs.size());
                                  for (size_t i = 0; i < refs.size(); ++i)
                                    values.push_back(std::make_shared<int>(static_cast<int>(i)));
                                });
       },
       "as many make_shared<int>"},
      {"parameter server, 10 doubles", "rounds/s", [](const Row& row) { return ParameterServer(row, 10); }},
      {"parameter server, 100,000 doubles", "rounds/s", [](const Row& row) { return ParameterServer(row, 100'000); }},
      {"parameter server, 10,000,000 doubles", "rounds/s",
       [](const Row& row) { return ParameterServer(row, 10'000'000); }},
  };
}

void Print(const Flags& flags, const RowOf& row, const Measured& measured) {
  const Numbers& values = measured.values;
  const bool time = row.unit == "us" || row.unit == "ms";
  const double scale = row.unit == "us" ? 1e6 : row.unit == "ms" ? 1e3 : 1;
  const double p50 = Percentile(values, 50) * scale;
  const double p99 = Percentile(values, time ? 99 : 1) * scale;
  if (flags.json)
    std::printf("{\"name\": \"%s\", \"unit\": \"%s\", \"p50\": %.6g, \"p99\": %.6g, \"samples\": %zu", row.name.c_str(),
                row.unit.c_str(), p50, p99, values.size());
  else
    std::printf("%-52s p50 %12.6g  p99 %12.6g  %-9s %zu samples", row.name.c_str(), p50, p99, row.unit.c_str(),
                values.size());
  if (!measured.beside.empty()) {
    const double beside = Percentile(measured.beside, 50) * scale;
    std::printf(flags.json ? ", \"beside\": %.6g, \"ratio\": %.3g, \"beside_name\": \"%s\""
                           : ", beside it %.6g, ratio %.3g (%s)",
                beside, p50 / beside, row.beside_name.c_str());
  }
  std::printf(flags.json ? "}\n" : "\n");
  std::fflush(stdout);
}

bool Parse(int argc, char** argv, Flags& flags) {
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag == "--json" || flag == "--list") {
      (flag == "--json" ? flags.json : flags.list) = true;
      continue;
    }
    if (i + 1 == argc) return false;
    const char* const value = argv[++i];
    if (flag == "--from")
      flags.from = value;
    else if (flag == "--only")
      flags.only = value;
    else if (flag == "--row-seconds")
      flags.row_seconds = std::atof(value);
    else if (flag == "--deadline")
      flags.deadline_seconds = std::atof(value);
    else if (flag == "--size-divisor")
      flags.size_divisor = static_cast<size_t>(std::max(1, std::atoi(value)));
    else
      return false;
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  Flags flags;
  if (!Parse(argc, argv, flags)) {
    std::fprintf(stderr,
                 "usage: api_bench --list | [--json] [--from ROW] [--only ROW] [--row-seconds S] [--deadline S] "
                 "[--size-divisor N]\n");
    return 2;
  }
  if (flags.list) {
    for (const RowOf& row : Rows()) std::printf("%s\n", row.name.c_str());
    return 0;
  }
  ray::RayConfig config;
  // Ray's workers load the functions from a library; those of other engines need none.
  if (const char* const library = std::getenv("API_BENCH_LIBRARY")) config.code_search_path = {library};
  if (const char* const args = std::getenv("API_BENCH_HEAD_ARGS")) {
    std::string word;
    for (const char* c = args;; ++c) {
      if (*c != ' ' && *c != '\0') {
        word += *c;
        continue;
      }
      if (!word.empty()) config.head_args.push_back(word);
      word.clear();
      if (*c == '\0') break;
    }
  }
  ray::Init(config);
  {
    Watchdog watchdog(flags.json, flags.deadline_seconds);
    bool begun = flags.from.empty();
    for (const RowOf& row : Rows()) {
      begun = begun || row.name == flags.from;
      if (!begun || (!flags.only.empty() && row.name != flags.only)) continue;
      watchdog.Begin(row.name);
      Print(flags, row, row.run(Row(flags)));
    }
  }
  ray::Shutdown();
  return 0;
}
