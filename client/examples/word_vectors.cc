// Learns a vector for each word of Debian's package descriptions: skip-gram with negative sampling. Words that stand in
// like places get like vectors. Each word is the key of a row in two tables: its own vector, and its vector as a
// neighbour of others.
#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <random>
#include <span>
#include <unordered_map>

#include <ray/parameter_server.h>

#include "parts/chart.h"
#include "parts/debian_packages.h"
#include "parts/program.h"
#include "parts/words.h"

namespace ps = ray::ps;
using Vectors = ps::Table<std::string, float>;

constexpr size_t kTextsOfBatch = 200;
constexpr size_t kNegatives = 5;  // words beside each neighbour, taken at random

struct Job {
  Vectors words, neighbours;
  std::vector<std::string> vocabulary;          // each word as often as it is drawn
  std::vector<std::vector<std::string>> texts;  // of one worker
  uint64_t window = 0, seed = 0;
  MSGPACK_DEFINE(words, neighbours, vocabulary, texts, window, seed)
};

// A pull of some rows, and the gradients to push for them.
struct Pulled {
  Pulled(const Vectors& table, std::vector<std::string> of)
      : keys(std::move(of)), rows(table.Pull(keys)), gradients(keys.size() * table.row_size()) {}
  float* GradientOf(size_t i) { return gradients.data() + i * rows.row_size(); }
  std::vector<std::string> keys;
  ps::Rows<float> rows;
  std::vector<float> gradients;
};

// One pair of a word and another that is its neighbour (label 1) or not (0). Returns its loss.
double Learn(Pulled& words, size_t word, Pulled& neighbours, size_t neighbour, float label) {
  const auto a = words.rows[word];
  const auto b = neighbours.rows[neighbour];
  const float likely = 1 / (1 + std::exp(-std::inner_product(a.begin(), a.end(), b.begin(), 0.0F)));
  float* const of_a = words.GradientOf(word);
  float* const of_b = neighbours.GradientOf(neighbour);
  for (size_t k = 0; k < a.size(); ++k) {
    of_a[k] += (likely - label) * b[k];
    of_b[k] += (likely - label) * a[k];
  }
  return -std::log(std::max(1e-7F, label > 0 ? likely : 1 - likely));
}

// One pass over the texts of a worker. Returns the mean loss of a pair.
double Work(const Job& job) {
  std::mt19937_64 random(job.seed);
  double loss = 0;
  size_t pairs = 0;
  for (size_t first = 0; first < job.texts.size(); first += kTextsOfBatch) {
    const auto texts = std::span(job.texts).subspan(first, std::min(kTextsOfBatch, job.texts.size() - first));
    std::vector<std::string> places, others;
    for (const auto& text : texts) places.insert(places.end(), text.begin(), text.end());
    others = places;
    // Behind the words themselves: those that each place has as its negatives.
    for (size_t i = 0; i < places.size() * kNegatives; ++i)
      others.push_back(job.vocabulary[random() % job.vocabulary.size()]);
    Pulled words(job.words, std::move(places)), neighbours(job.neighbours, std::move(others));
    size_t begin = 0;
    for (const auto& text : texts) {
      const size_t end = begin + text.size();
      for (size_t i = begin; i < end; ++i)
        for (size_t j = i > begin + job.window ? i - job.window : begin; j < std::min(end, i + job.window + 1); ++j) {
          if (i == j) continue;
          loss += Learn(words, i, neighbours, j, 1);
          for (size_t k = 0; k < kNegatives; ++k)
            loss += Learn(words, i, neighbours, words.keys.size() + j * kNegatives + k, 0);
          pairs += 1 + kNegatives;
        }
      begin = end;
    }
    job.words.Push(words.keys, words.gradients);
    job.neighbours.Push(neighbours.keys, neighbours.gradients);
  }
  return loss / static_cast<double>(std::max<size_t>(1, pairs));
}
RAY_REMOTE(Work);

// The descriptions without rare words; each vocabulary word as often as the root of its count.
void ReadTexts(const std::vector<example::Package>& packages, size_t count_min, Job& job) {
  std::map<std::string, size_t> counts;
  for (const auto& package : packages)
    for (const auto& word : example::WordsOf(package.description)) ++counts[word];
  for (const auto& package : packages) {
    std::vector<std::string> text;
    for (const auto& word : example::WordsOf(package.description))
      if (counts[word] >= count_min) text.push_back(word);
    if (text.size() > 1) job.texts.push_back(std::move(text));
  }
  for (const auto& [word, count] : counts)
    if (count >= count_min)
      job.vocabulary.insert(job.vocabulary.end(), static_cast<size_t>(std::sqrt(static_cast<double>(count))), word);
  if (job.texts.empty())
    throw std::runtime_error("no description has two words that stand " + std::to_string(count_min) +
                             " times in all of them: give a smaller --count-min");
}

void PrintNeighbours(const Vectors& table, std::vector<std::string> words, const std::vector<std::string>& of,
                     example::Output& output) {
  words.erase(std::unique(words.begin(), words.end()), words.end());  // the same words stand together
  const auto rows = table.Pull(words);
  const auto cosine = [&](size_t i, size_t j) {
    const auto a = rows[i], b = rows[j];
    const auto dot = [](std::span<const float> x, std::span<const float> y) {
      return std::inner_product(x.begin(), x.end(), y.begin(), 0.0F);
    };
    return dot(a, b) / std::sqrt(dot(a, a) * dot(b, b) + 1e-12F);
  };
  for (const std::string& word : of) {
    const auto found = std::find(words.begin(), words.end(), word);
    if (found == words.end()) {
      output.Print("%s: no such word", word.c_str());
      continue;
    }
    const auto place = static_cast<size_t>(found - words.begin());
    std::vector<std::pair<float, size_t>> near;
    for (size_t i = 0; i < words.size(); ++i)
      if (i != place) near.emplace_back(-cosine(place, i), i);
    const size_t shown = std::min<size_t>(6, near.size());
    std::partial_sort(near.begin(), near.begin() + static_cast<std::ptrdiff_t>(shown), near.end());
    std::string line;
    for (size_t i = 0; i < shown; ++i) line += " " + words[near[i].second];
    output.Print("%s:%s", word.c_str(), line.c_str());
  }
}

struct Training {
  uint64_t epochs = 0, workers = 0, seed = 0, window = 0;
  size_t size = 0;
  ps::Options table;
  std::string near, chart;
  Job all;

  void Run(example::Output& output) const;
};

example::Work Prepare(const example::Options& options) {
  Training training;
  training.epochs = options.Whole("--epochs", 1, 1000);
  training.workers = options.Whole("--workers", 1, 256);
  training.seed = options.Whole("--seed", 0, UINT32_MAX);
  training.window = options.Whole("--window", 1, 100);
  training.size = options.Whole("--size", 1, 1024);
  training.table = {.shards = options.Whole("--shards", 1, 256),
                    .optimizer = ps::Adagrad{.rate = options.Real("--rate", 1e-6, 100)}};
  training.near = options.Text("--near");
  training.chart = options.Text("--chart");
  const uint64_t count_min = options.Whole("--count-min", 1, 1'000'000);
  ReadTexts(example::ReadPackages(options.Text("--packages")), count_min, training.all);
  return [training = std::move(training)](example::Output& output) { training.Run(output); };
}

void Training::Run(example::Output& output) const {
  const double spread = 0.5 / static_cast<double>(size);
  std::vector<Job> jobs(workers);
  for (uint64_t rank = 0; rank < workers; ++rank) {
    jobs[rank].vocabulary = all.vocabulary;
    jobs[rank].window = window;
    for (size_t i = rank; i < all.texts.size(); i += workers) jobs[rank].texts.push_back(all.texts[i]);
  }
  const auto words = Vectors::Create(size, table, ps::Initializer::Uniform(-spread, spread, seed));
  const auto neighbours = Vectors::Create(size, table, ps::Initializer::Uniform(-spread, spread, seed + 1));
  output.Print("%zu descriptions", all.texts.size());
  example::Line line{"pairs of words", {}};
  for (uint64_t epoch = 0; epoch < epochs; ++epoch) {
    std::vector<ray::ObjectRef<double>> working;
    for (uint64_t rank = 0; rank < workers; ++rank) {
      jobs[rank].words = words;
      jobs[rank].neighbours = neighbours;
      jobs[rank].seed = (seed * epochs + epoch) * workers + rank;
      working.push_back(ray::Task(Work).Remote(jobs[rank]));
    }
    double loss = 0;
    for (const auto& one : ray::Get(working)) loss += *one / static_cast<double>(workers);
    line.points.emplace_back(epoch + 1, loss);
    output.Print("epoch %zu/%zu  %.1f s  loss %.4f", size_t{epoch + 1}, size_t{epochs}, example::Seconds(), loss);
  }
  PrintNeighbours(words, all.vocabulary, example::WordsOf(near), output);
  if (!chart.empty()) example::WriteCharts(chart, {{"Skip-gram over descriptions", "epochs", "mean loss", {line}}});
  output.PrintResult("loss %.4f over %zu words", line.points.back().second, words.Size());
}

int main(int argc, char** argv) {
  return example::RunProgram({"word_vectors",
                              "vectors of the words in Debian's package descriptions",
                              {{"--packages", "", "a file of `apt-cache dumpavail`; without it, apt-cache's output"},
                               {"--epochs", "5", "passes over the descriptions"},
                               {"--size", "32", "numbers of a vector"},
                               {"--window", "4", "words on each side that are neighbours"},
                               {"--count-min", "5", "leaves out rarer words"},
                               {"--rate", "0.1", "of Adagrad"},
                               {"--workers", "2", "tasks that train at once"},
                               {"--shards", "2", "actors of each table"},
                               {"--near", "python audio game kernel french", "words whose neighbours are printed"},
                               {"--seed", "1", "of what is drawn at random"},
                               example::kChart},
                              Prepare},
                             argc, argv);
}
