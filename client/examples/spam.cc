// Tells spam from other mails by sparse logistic regression: one weight for each word, trained with FTRL, which keeps
// most weights at exactly 0. The mails are those that tools/fetch_spam_mails brings.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <ray/parameter_server.h>

#include "parts/chart.h"
#include "parts/program.h"
#include "parts/words.h"

namespace ps = ray::ps;
namespace fs = std::filesystem;
using Weights = ps::Table<std::string, float>;

constexpr size_t kMailsOfBatch = 20;
constexpr size_t kHeldOutEach = 5;  // one mail of so many

struct File {
  std::string path;
  bool spam = false;
  MSGPACK_DEFINE(path, spam)
};

std::vector<std::string> ReadWords(const File& file) {
  std::ifstream in(file.path, std::ios::binary);
  if (!in) throw std::runtime_error("the mail " + file.path + " cannot be read");
  return example::WordsOfMail(std::string(std::istreambuf_iterator<char>(in), {}));
}

// The words of some mails, one after the other, and their weights.
struct Batch {
  explicit Batch(std::span<const File> files) {
    for (const File& file : files) {
      for (std::string& word : ReadWords(file)) words.push_back(std::move(word));
      ends.push_back(words.size());
    }
  }
  // How likely each mail is spam.
  std::vector<float> Predict(const Weights& weights) const {
    const auto rows = weights.Pull(words);
    std::vector<float> predictions;
    size_t i = 0;
    for (const size_t end : ends) {
      float sum = 0;
      for (; i < end; ++i) sum += rows[i][0];
      predictions.push_back(1 / (1 + std::exp(-sum)));
    }
    return predictions;
  }
  std::vector<std::string> words;
  std::vector<size_t> ends;  // of each mail's words
};

void Work(const Weights& weights, const std::vector<File>& files) {
  for (size_t first = 0; first < files.size(); first += kMailsOfBatch) {
    const auto some = std::span(files).subspan(first, std::min(kMailsOfBatch, files.size() - first));
    const Batch batch(some);
    const std::vector<float> predictions = batch.Predict(weights);
    std::vector<float> gradients;
    for (size_t i = 0; i < some.size(); ++i) gradients.resize(batch.ends[i], predictions[i] - (some[i].spam ? 1 : 0));
    weights.Push(batch.words, gradients);
  }
}
RAY_REMOTE(Work);

// All mails of one folder, in the order of their names.
std::vector<File> FilesOf(const std::string& folder, bool spam) {
  std::vector<File> files;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error))
    if (entry.path().extension() == ".txt") files.push_back({entry.path().string(), spam});
  if (files.empty())
    throw std::runtime_error("there are no mails in " + folder + ": tools/fetch_spam_mails brings them");
  std::sort(files.begin(), files.end(), [](const File& a, const File& b) { return a.path < b.path; });
  return files;
}

struct Counted {
  size_t mails = 0, right = 0, spam_missed = 0, mails_lost = 0;
  double accuracy() const { return static_cast<double>(right) / static_cast<double>(mails); }
};

Counted Count(const Weights& weights, const std::vector<File>& files) {
  const std::vector<float> predictions = Batch(files).Predict(weights);
  Counted counted;
  for (size_t i = 0; i < files.size(); ++i) {
    const bool said = predictions[i] > 0.5F;
    ++counted.mails;
    counted.right += said == files[i].spam;
    counted.spam_missed += !said && files[i].spam;
    counted.mails_lost += said && !files[i].spam;
  }
  return counted;
}

void PrintWords(const Weights& weights, example::Output& output) {
  std::vector<std::pair<float, std::string>> words;
  size_t zeros = 0;
  weights.ForEach([&](const std::string& word, std::span<const float> row) {
    if (row[0] == 0)
      ++zeros;
    else
      words.emplace_back(row[0], word);
  });
  std::sort(words.begin(), words.end());
  const size_t shown = std::min<size_t>(8, words.size());
  std::string mail, spam;
  for (size_t i = 0; i < shown; ++i) {
    mail += " " + words[i].second;
    spam += " " + words[words.size() - 1 - i].second;
  }
  output.Print("%zu words have a weight, %zu have none", words.size(), zeros);
  output.Print("words of mail:%s", mail.c_str());
  output.Print("words of spam:%s", spam.c_str());
}

struct Training {
  uint64_t epochs = 0;
  ps::Options table;
  std::string chart;
  std::vector<std::vector<File>> shares;  // of the workers
  std::vector<File> held_out, hard;

  void Run(example::Output& output) const;
};

example::Work Prepare(const example::Options& options) {
  Training training;
  training.epochs = options.Whole("--epochs", 1, 1000);
  training.table = {
      .shards = options.Whole("--shards", 1, 256),
      .optimizer = ps::Ftrl{.alpha = options.Real("--alpha", 1e-6, 100), .l1 = options.Real("--l1", 0, 100)}};
  training.chart = options.Text("--chart");
  const uint64_t workers = options.Whole("--workers", 1, 256);
  training.shares.resize(workers);
  const std::string folder = options.Text("--mails") + "/";
  for (const auto& [name, spam] : std::initializer_list<std::pair<const char*, bool>>{
           {"easy-ham-1", false}, {"easy-ham-2", false}, {"spam-1", true}, {"spam-2", true}}) {
    const std::vector<File> files = FilesOf(folder + name, spam);
    for (size_t i = 0; i < files.size(); ++i)
      (i % kHeldOutEach == 0 ? training.held_out : training.shares[i % workers]).push_back(files[i]);
  }
  // Mails and spam in turn, the same in each run: by the random part of their names.
  for (auto& share : training.shares)
    std::sort(share.begin(), share.end(), [](const File& a, const File& b) {
      const auto random = [](const File& file) { return fs::path(file.path).stem().extension().string(); };
      return random(a) < random(b);
    });
  training.hard = FilesOf(folder + "hard-ham-1", false);
  return [training](example::Output& output) { training.Run(output); };
}

void Training::Run(example::Output& output) const {
  const auto weights = Weights::Create(1, table);
  example::Line line{"easy mails and spam", {}}, hard_line{"hard mails", {}};
  Counted easy_counted, hard_counted;
  for (uint64_t epoch = 0; epoch < epochs; ++epoch) {
    std::vector<ray::ObjectRef<void>> working;
    for (const auto& share : shares) working.push_back(ray::Task(Work).Remote(weights, share));
    ray::Get(working);
    easy_counted = Count(weights, held_out);
    hard_counted = Count(weights, hard);
    line.points.emplace_back(epoch + 1, easy_counted.accuracy());
    hard_line.points.emplace_back(epoch + 1, hard_counted.accuracy());
    output.Print("epoch %zu/%zu  %.1f s  accuracy %.4f", size_t{epoch + 1}, size_t{epochs}, example::Seconds(),
                 easy_counted.accuracy());
  }
  PrintWords(weights, output);
  if (!chart.empty())
    example::WriteCharts(chart, {{"Mails that training has not seen", "epochs", "accuracy", {line, hard_line}}});
  output.PrintResult("hard mails: accuracy %.4f of %zu", hard_counted.accuracy(), hard_counted.mails);
  output.PrintResult("accuracy %.4f of %zu held-out mails; %zu of spam missed, %zu taken for spam",
                     easy_counted.accuracy(), easy_counted.mails, easy_counted.spam_missed, easy_counted.mails_lost);
}

int main(int argc, char** argv) {
  return example::RunProgram({"spam",
                              "tells spam from mail, with one weight for each word",
                              {{"--mails", "build/data/spam_assassin", "a folder that tools/fetch_spam_mails filled"},
                               {"--epochs", "3", "passes over the mails"},
                               {"--workers", "2", "tasks that train at once"},
                               {"--shards", "2", "actors of the table"},
                               {"--alpha", "0.1", "rate of FTRL"},
                               {"--l1", "0.5", "how strongly FTRL keeps weights at 0"},
                               example::kChart},
                              Prepare},
                             argc, argv);
}
