// Recommends items to users by biased matrix factorisation: a row for each user and for each item, in two tables that
// all workers train at once. A user's score for an item is the sum of their biases and the product of their factors.
// Users and items are those of MovieLens' ratings.csv, or Debian's packages and what they depend on.
#include <algorithm>
#include <cmath>
#include <fstream>
#include <numeric>
#include <random>
#include <span>
#include <unordered_map>
#include <unordered_set>

#include <ray/parameter_server.h>

#include "parts/chart.h"
#include "parts/debian_packages.h"
#include "parts/program.h"
#include "parts/ratings.h"

namespace ps = ray::ps;
using Rows = ps::Table<uint64_t, float>;
using example::Ratings;

constexpr size_t kTop = 10;         // recommendations that count
constexpr uint64_t kNegatives = 4;  // items beside each that is liked, taken at random
constexpr size_t kLikesOfBatch = 500;
constexpr float kRate = 0.1F, kDecay = 0.002F;

struct Job {
  Rows users, items;
  ray::Array<uint32_t> likes;  // user and item in turn
  uint64_t item_count = 0, workers = 1, seed = 1;
  MSGPACK_DEFINE(users, items, likes, item_count, workers, seed)
};

// A row's first number is its bias.
float Score(std::span<const float> user, std::span<const float> item) {
  return std::inner_product(user.begin() + 1, user.end(), item.begin() + 1, user[0] + item[0]);
}

void AddGradient(std::span<const float> user, std::span<const float> item, float label, float* of_user,
                 float* of_item) {
  const float error = 1 / (1 + std::exp(-Score(user, item))) - label;
  of_user[0] = of_item[0] = error;
  for (size_t k = 1; k < user.size(); ++k) {
    of_user[k] = error * item[k] + kDecay * user[k];
    of_item[k] = error * user[k] + kDecay * item[k];
  }
}

// One pass of a worker over its share. A Table here is whatever has Pull and Push.
template <class Table>
void Pass(Table& users, Table& items, size_t row_size, std::span<const uint32_t> likes, uint64_t item_count,
          uint64_t rank, uint64_t workers, uint64_t seed) {
  std::mt19937_64 random(seed * workers + rank);
  const size_t count = likes.size() / 2;
  const size_t end = count * (rank + 1) / workers;
  for (size_t first = count * rank / workers; first < end; first += kLikesOfBatch) {
    std::vector<uint64_t> batch_users, batch_items;
    for (size_t i = first; i < std::min(end, first + kLikesOfBatch); ++i)
      for (uint64_t k = 0; k <= kNegatives; ++k) {
        batch_users.push_back(likes[2 * i]);
        batch_items.push_back(k == 0 ? likes[2 * i + 1] : random() % item_count);
      }
    const auto user_rows = users.Pull(batch_users);
    const auto item_rows = items.Pull(batch_items);
    std::vector<float> of_users(batch_users.size() * row_size), of_items(of_users.size());
    for (size_t i = 0; i < batch_users.size(); ++i)
      AddGradient(user_rows[i], item_rows[i], i % (1 + kNegatives) == 0 ? 1 : 0, &of_users[i * row_size],
                  &of_items[i * row_size]);
    users.Push(batch_users, of_users);
    items.Push(batch_items, of_items);
  }
}

void Work(const Job& job, uint64_t rank, uint64_t epoch) {
  Pass(job.users, job.items, job.users.row_size(), job.likes.span(), job.item_count, rank, job.workers,
       job.seed + epoch);
}
RAY_REMOTE(Work);

// The table of a single process: the same rows and the same Adagrad in a hash map.
class LocalRows {
 public:
  LocalRows(size_t row_size, float spread, uint64_t seed) : row_size_(row_size), spread_(spread), random_(seed) {}

  std::vector<std::vector<float>> Pull(const std::vector<uint64_t>& keys) {
    std::vector<std::vector<float>> rows;
    for (const uint64_t key : keys) rows.push_back(Find(key).values);
    return rows;
  }
  void Push(const std::vector<uint64_t>& keys, std::span<const float> gradients) {
    std::unordered_map<uint64_t, std::vector<float>> sums;
    for (size_t i = 0; i < keys.size(); ++i) {
      std::vector<float>& sum = sums[keys[i]];
      sum.resize(row_size_);
      for (size_t k = 0; k < row_size_; ++k) sum[k] += gradients[i * row_size_ + k];
    }
    for (const auto& [key, sum] : sums) {
      Row& row = Find(key);
      for (size_t k = 0; k < row_size_; ++k) {
        row.squares[k] += sum[k] * sum[k];
        row.values[k] -= kRate * sum[k] / (std::sqrt(row.squares[k]) + 1e-10F);
      }
    }
  }

 private:
  struct Row {
    std::vector<float> values, squares;
  };
  Row& Find(uint64_t key) {
    Row& row = rows_[key];
    if (row.values.empty()) {
      std::uniform_real_distribution<float> start(-spread_, spread_);
      for (size_t k = 0; k < row_size_; ++k) row.values.push_back(start(random_));
      row.squares.resize(row_size_);
    }
    return row;
  }

  size_t row_size_;
  float spread_;
  std::mt19937_64 random_;
  std::unordered_map<uint64_t, Row> rows_;
};

// The share of held-out items that are among the first ten of all items which their user does not have yet. Score of a
// user's place in held_out, and of an item.
template <class ScoreOf>
double HitRate(const Ratings& ratings, const std::vector<std::unordered_set<uint32_t>>& liked, ScoreOf score_of) {
  size_t hits = 0;
  for (size_t i = 0; i < ratings.held_out.size(); ++i) {
    const auto& [user, held_out] = ratings.held_out[i];
    const auto score = score_of(i, held_out);
    size_t better = 0;
    for (uint32_t item = 0; item < ratings.items.size() && better < kTop; ++item)
      better += score_of(i, item) > score && !liked[user].contains(item);
    hits += better < kTop;
  }
  return static_cast<double>(hits) / static_cast<double>(ratings.held_out.size());
}

template <class Table>
double HitRateOf(Table& users, Table& items, const Ratings& ratings,
                 const std::vector<std::unordered_set<uint32_t>>& liked) {
  std::vector<uint64_t> user_keys, item_keys(ratings.items.size());
  for (const auto& [user, item] : ratings.held_out) user_keys.push_back(user);
  std::iota(item_keys.begin(), item_keys.end(), 0);
  const auto user_rows = users.Pull(user_keys);
  const auto item_rows = items.Pull(item_keys);
  return HitRate(ratings, liked, [&](size_t place, uint32_t item) { return Score(user_rows[place], item_rows[item]); });
}

uint32_t PlaceOf(const std::string& user, const Ratings& ratings) {
  const auto found = std::find(ratings.users.begin(), ratings.users.end(), user);
  if (found == ratings.users.end()) throw std::runtime_error("there is no user '" + user + "' among the likes");
  return static_cast<uint32_t>(found - ratings.users.begin());
}

void PrintRecommendations(const Job& job, const Ratings& ratings, const std::string& name,
                          const std::vector<std::unordered_set<uint32_t>>& liked, example::Output& output) {
  const uint32_t user = PlaceOf(name, ratings);
  std::vector<uint64_t> keys(ratings.items.size());
  std::iota(keys.begin(), keys.end(), 0);
  const auto user_row = job.users.Pull({user});
  const auto item_rows = job.items.Pull(keys);
  std::sort(keys.begin(), keys.end(), [&](uint64_t a, uint64_t b) {
    return Score(user_row[0], item_rows[a]) > Score(user_row[0], item_rows[b]);
  });
  std::string line;
  size_t printed = 0;
  for (const uint64_t item : keys)
    if (printed < kTop && !liked[user].contains(static_cast<uint32_t>(item))) {
      line += " " + ratings.items[item];
      ++printed;
    }
  output.Print("for %s:%s", name.c_str(), line.c_str());
}

Ratings ReadRatings(const example::Options& options) {
  const uint64_t seed = options.Whole("--seed", 0, UINT32_MAX);
  const size_t users_min = options.Whole("--users-min", 1, 1'000'000);
  const std::string& file = options.Text("--ratings");
  if (file.empty()) return example::RatingsOf(example::ReadPackages(options.Text("--packages")), users_min, seed);
  std::ifstream in(file);
  if (!in) throw std::runtime_error("the ratings " + file + " cannot be read");
  return example::RatingsOfMovieLens(in, users_min, seed);
}

struct Training {
  uint64_t epochs = 0;
  size_t row_size = 0, shards = 0;
  uint64_t workers = 0, seed = 0;
  std::string reader;  // whose recommendations are printed; empty: nobody's
  std::string chart;
  Ratings ratings;

  void Run(example::Output& output) const;
};

example::Work Prepare(const example::Options& options) {
  Training training;
  training.epochs = options.Whole("--epochs", 1, 1000);
  training.row_size = 1 + options.Whole("--factors", 1, 1024);
  training.shards = options.Whole("--shards", 1, 256);
  training.workers = options.Whole("--workers", 1, 256);
  training.seed = options.Whole("--seed", 0, UINT32_MAX);
  training.reader = options.Text("--for");
  training.chart = options.Text("--chart");
  training.ratings = ReadRatings(options);
  if (!training.reader.empty()) PlaceOf(training.reader, training.ratings);
  return [training = std::move(training)](example::Output& output) { training.Run(output); };
}

void Training::Run(example::Output& output) const {
  Job job;
  job.workers = workers;
  job.seed = seed;
  job.item_count = ratings.items.size();
  std::vector<uint32_t> likes;
  std::vector<std::unordered_set<uint32_t>> liked(ratings.users.size());
  std::vector<uint32_t> popularity(ratings.items.size());
  for (const auto& [user, item] : ratings.train) {
    likes.insert(likes.end(), {user, item});
    liked[user].insert(item);
    ++popularity[item];
  }
  output.Print("%zu users, %zu items, %zu likes; %zu held out", ratings.users.size(), ratings.items.size(),
               ratings.train.size(), ratings.held_out.size());
  const double popular = HitRate(ratings, liked, [&](size_t, uint32_t item) { return popularity[item]; });
  output.Print("the most popular items: hit rate %.4f", popular);

  const float spread = 0.5F / std::sqrt(static_cast<float>(row_size));
  example::Line alone{"one process", {}}, together{std::to_string(job.workers) + " workers", {}};
  LocalRows local_users(row_size, spread, job.seed), local_items(row_size, spread, job.seed + 1);
  double alone_seconds = 0;
  for (uint64_t epoch = 0; epoch < epochs; ++epoch) {
    const double start = example::Seconds();
    Pass(local_users, local_items, row_size, likes, job.item_count, 0, 1, job.seed + epoch);
    alone_seconds += example::Seconds() - start;
    alone.points.emplace_back(epoch + 1, HitRateOf(local_users, local_items, ratings, liked));
  }
  output.Print("one process: hit rate %.4f after %.1f s of training", alone.points.back().second, alone_seconds);

  const ps::Options table{.shards = shards, .optimizer = ps::Adagrad{.rate = kRate}};
  job.users = Rows::Create(row_size, table, ps::Initializer::Uniform(-spread, spread, job.seed));
  job.items = Rows::Create(row_size, table, ps::Initializer::Uniform(-spread, spread, job.seed + 1));
  job.likes = ray::Array<uint32_t>::CopyOf(likes);
  double seconds = 0;
  for (uint64_t epoch = 0; epoch < epochs; ++epoch) {
    const double start = example::Seconds();
    std::vector<ray::ObjectRef<void>> working;
    for (uint64_t rank = 0; rank < job.workers; ++rank) working.push_back(ray::Task(Work).Remote(job, rank, epoch));
    ray::Get(working);
    seconds += example::Seconds() - start;
    together.points.emplace_back(epoch + 1, HitRateOf(job.users, job.items, ratings, liked));
    output.Print("epoch %zu/%zu  %.1f s  hit rate %.4f", size_t{epoch + 1}, size_t{epochs}, seconds,
                 together.points.back().second);
  }
  if (!reader.empty()) PrintRecommendations(job, ratings, reader, liked, output);
  if (!chart.empty()) {
    const double last = static_cast<double>(epochs);
    example::WriteCharts(chart, {{"Held-out items among the first ten",
                                  "epochs",
                                  "hit rate",
                                  {together, alone, {"popularity", {{1, popular}, {last, popular}}}}}});
  }
  output.PrintResult("hit rate %.4f of %zu workers, %.4f of one process, %.4f of popularity",
                     together.points.back().second, size_t{job.workers}, alone.points.back().second, popular);
}

int main(int argc, char** argv) {
  return example::RunProgram({"recommender",
                              "matrix factorisation with a row for each user and each item",
                              {{"--ratings", "", "MovieLens' ratings.csv; without it, Debian's packages"},
                               {"--packages", "", "a file of `apt-cache dumpavail`; without it, apt-cache's output"},
                               {"--users-min", "5", "leaves out items that fewer users like"},
                               {"--epochs", "8", "passes over all likes"},
                               {"--factors", "16", "of a user and of an item"},
                               {"--workers", "2", "tasks that train at once"},
                               {"--shards", "2", "actors of each table"},
                               {"--for", "", "a user, whose recommendations are printed"},
                               {"--seed", "1", "of what is drawn at random"},
                               example::kChart},
                              Prepare},
                             argc, argv);
}
