// The examples on real data, run as programs on a little data of the tests' own.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tests/client/examples/fashion_mnist_program.h"

namespace raylet::test {
namespace {

namespace fs = std::filesystem;

class ExamplePrograms : public ::testing::Test {
 protected:
  // The number behind the last `before` of the output; -1 where there is none.
  static double Figure(const TrainingRun& run, const std::string& before) {
    const size_t at = run.output().rfind(before);
    return at == std::string::npos ? -1 : std::strtod(run.output().c_str() + at + before.size(), nullptr);
  }
  void Write(const std::string& name, const std::string& content) const {
    fs::create_directories(fs::path(folder_.File(name)).parent_path());
    std::ofstream(folder_.File(name)) << content;
  }
  // Packages of twelve kinds, which depend on three of the five libraries of their kind, and on one that all have.
  std::string WritePackages() const {
    const std::vector<std::string> kinds = {"sound", "picture", "text", "video", "mail", "map",
                                            "font",  "game",    "disk", "net",   "math", "film"};
    std::string index;
    for (size_t i = 0; i < 1200; ++i) {
      const std::string& kind = kinds[i % kinds.size()];
      index += "Package: " + kind + std::to_string(i) + "\nDepends: libc6 (>= 2.3)";
      for (size_t k = 0; k < 3; ++k) index += ", lib" + kind + std::to_string((i / kinds.size() + k) % 5);
      index += "\n\n";
    }
    Write("packages", index);
    return folder_.File("packages");
  }

  RunFolder folder_;
};

TEST_F(ExamplePrograms, TheRecommenderIsBetterThanPopularityAndAsGoodAsOneProcess) {
  const TrainingRun run({"--packages", WritePackages(), "--epochs", "15", "--factors", "8", "--for", "sound0",
                         "--chart", folder_.File("chart")},
                        "recommender");
  ASSERT_EQ(run.exit_code(), 0) << run.output();
  EXPECT_TRUE(run.Says("1200 users, 61 items")) << run.output();
  const double workers = Figure(run, "\nhit rate ");
  const double alone = Figure(run, "workers, ");
  const double popularity = Figure(run, "one process, ");
  EXPECT_GT(workers, popularity + 0.3) << run.output();
  EXPECT_GT(workers, alone - 0.15) << run.output();
  const size_t line = run.output().find("\nfor sound0: ");
  ASSERT_NE(line, std::string::npos) << run.output();
  EXPECT_LT(run.output().find(" libsound", line), run.output().find('\n', line + 1)) << run.output();
  EXPECT_GT(fs::file_size(folder_.File("chart.svg")), 1000U);
  EXPECT_GT(fs::file_size(folder_.File("chart.csv")), 100U);
  EXPECT_EQ(run.Left(), "");
}

TEST_F(ExamplePrograms, TheRecommenderReadsMovieLens) {
  std::string csv = "userId,movieId,rating,timestamp\n";
  for (int user = 0; user < 100; ++user)
    for (int movie = 0; movie < 4; ++movie)
      csv += std::to_string(user) + "," + std::to_string(100 * (user % 2) + (user + movie) % 9) + ",4.5,1\n";
  Write("ratings.csv", csv);
  const TrainingRun run({"--ratings", folder_.File("ratings.csv"), "--epochs", "2", "--factors", "2"}, "recommender");
  ASSERT_EQ(run.exit_code(), 0) << run.output();
  EXPECT_TRUE(run.Says("100 users, 18 items, 380 likes; 20 held out")) << run.output();
}

TEST_F(ExamplePrograms, SpamIsToldFromMail) {
  const auto write = [&](const std::string& kind, const std::string& words, int count) {
    for (int i = 0; i < count; ++i)
      Write("mails/" + kind + "/" + std::to_string(10'000 + i) + "." + std::to_string(i * 7919 % 1000) + ".txt",
            "From: x\nSubject: hello\n\n" + words + " word" + std::to_string(i % 9) + "\n");
  };
  write("easy-ham-1", "meeting patch", 60);
  write("easy-ham-2", "kernel patch", 40);
  write("spam-1", "money offer", 60);
  write("spam-2", "pills offer", 40);
  write("hard-ham-1", "newsletter patch", 10);
  const TrainingRun run({"--mails", folder_.File("mails"), "--epochs", "2"}, "spam");
  ASSERT_EQ(run.exit_code(), 0) << run.output();
  EXPECT_EQ(Figure(run, "\naccuracy "), 1) << run.output();
  EXPECT_TRUE(run.Says(" of 40 held-out mails; 0 of spam missed, 0 taken for spam")) << run.output();
  EXPECT_TRUE(run.Says("words of spam: offer")) << run.output();
  EXPECT_EQ(run.Left(), "");
}

TEST_F(ExamplePrograms, MailsThatAreNotThereSayWhatBringsThem) {
  const TrainingRun run({"--mails", folder_.File("none")}, "spam");
  EXPECT_EQ(run.exit_code(), 1);
  EXPECT_TRUE(run.Says("spam: there are no mails in " + folder_.File("none") +
                       "/easy-ham-1: tools/fetch_spam_mails brings them"))
      << run.output();
}

TEST_F(ExamplePrograms, WordsOfLikePlacesGetLikeVectors) {
  // "cat" and "dog" have the same neighbours, "car" has others.
  std::string index;
  const std::vector<std::string> of_pets = {"feed", "walk", "pet", "leash"},
                                 of_cars = {"drive", "park", "wash", "fuel"};
  for (int i = 0; i < 400; ++i) {
    const bool pet = i % 3 != 2;
    const auto& near = pet ? of_pets : of_cars;
    const auto place = static_cast<size_t>(i / 3);
    index += "Package: p" + std::to_string(i) + "\nDescription: " + near[place % 4] + " " +
             (i % 3 == 0 ? "cat" : (pet ? "dog" : "car")) + " " + near[(place + 1) % 4] + "\n\n";
  }
  Write("packages", index);
  const TrainingRun run(
      {"--packages", folder_.File("packages"), "--epochs", "30", "--size", "8", "--window", "1", "--near", "cat"},
      "word_vectors");
  ASSERT_EQ(run.exit_code(), 0) << run.output();
  EXPECT_TRUE(run.Says("\ncat: dog ")) << run.output();
  EXPECT_LT(Figure(run, "\nloss "), 0.6) << run.output();
  EXPECT_EQ(run.Left(), "");
}

// An address that nobody serves: whoever calls Init ends with exit code 3.
const TrainingRun::Environment kNoDaemons = {{"RAY_ADDRESS", "/none/raylet"}};
constexpr const char* kExamples[] = {"parameter_server", "fashion_mnist", "recommender", "spam", "word_vectors"};

TEST_F(ExamplePrograms, EachAnswersHelpAndRefusesUnknownOptionsWithoutADaemon) {
  for (const char* program : kExamples) {
    for (const char* help_flag : {"--help", "-h"}) {
      const TrainingRun help({help_flag}, program, kNoDaemons);
      EXPECT_EQ(help.exit_code(), 0) << help.output();
      EXPECT_TRUE(help.Says("Exit codes: 0 fine, 1 failed, 2 usage")) << help.output();
      EXPECT_TRUE(help.Says("  --address")) << help.output();
    }
    const TrainingRun refused({"--no-such-option", "1"}, program, kNoDaemons);
    EXPECT_EQ(refused.exit_code(), 2) << refused.output();
    EXPECT_EQ(refused.output(),
              StrCat(program, ": there is no option '--no-such-option'; --help lists those there are\n"));
  }
}

TEST_F(ExamplePrograms, EachFindsThatItsInputIsMissingBeforeADaemonStarts) {
  const struct {
    const char* program;
    const char* option;
    const char* says;
  } cases[] = {{"fashion_mnist", "--data", "/none/train-images-idx3-ubyte.gz is missing"},
               {"recommender", "--ratings", "the ratings /none cannot be read"},
               {"recommender", "--packages", "/none"},
               {"spam", "--mails", "there are no mails in /none/easy-ham-1: tools/fetch_spam_mails brings them"},
               {"word_vectors", "--packages", "/none"},
               {"parameter_server", "--log", "the log /none/file cannot be written"},
               {"fashion_mnist", "--results", "the file of the results /none/file cannot be written"},
               {"spam", "--results", "the file of the results /none/file cannot be written"}};
  for (const auto& each : cases) {
    const bool is_written = std::string(each.says).ends_with("cannot be written");
    const TrainingRun run({each.option, is_written ? "/none/file" : "/none"}, each.program, kNoDaemons);
    EXPECT_EQ(run.exit_code(), 1) << run.output();
    EXPECT_TRUE(run.Says(each.says)) << each.program << ": " << run.output();
  }
}

// As a script reads them.
TEST_F(ExamplePrograms, TheResultsGoToAFileWhereOneIsNamed) {
  const TrainingRun run({"--ray_local_mode=true", "--results", folder_.File("results")}, "parameter_server");
  EXPECT_EQ(run.exit_code(), 0) << run.output();
  EXPECT_EQ(run.output(), "");
  std::ifstream in(folder_.File("results"));
  std::string line;
  ASSERT_TRUE(std::getline(in, line));
  EXPECT_EQ(line, "1 server, 2 workers, 100 rounds: 10000 of 10000 parameters are 200");
  ASSERT_TRUE(std::getline(in, line));
  EXPECT_EQ(line, "4 servers, 2 workers, 100 rounds: 10000 of 10000 parameters are 200");
}

struct PolicyRun {
  const char* policy;
  const char* optimizer;
};
class FashionMnistPolicies : public ::testing::TestWithParam<PolicyRun> {};
INSTANTIATE_TEST_SUITE_P(Policies, FashionMnistPolicies,
                         testing::Values(PolicyRun{"async", "adagrad"}, PolicyRun{"sync", "nesterov"},
                                         PolicyRun{"stale", "rmsprop"}, PolicyRun{"scaled", "adamw"}),
                         [](const auto& run) { return run.param.policy; });

TEST_P(FashionMnistPolicies, Train) {
  const TrainingRun run({"--model", "softmax", "--epochs", "1", "--batch", "600", "--policy", GetParam().policy,
                         "--optimizer", GetParam().optimizer});
  EXPECT_EQ(run.exit_code(), 0) << run.output();
  EXPECT_GT(run.accuracy(), 0.7) << run.output();
}

// The training goes on without the late and after the end of a shard's process.
TEST_F(ExamplePrograms, FashionMnistDropsTheLateAndSurvivesAKilledShard) {
  const TrainingRun run({"--model", "softmax", "--epochs", "1", "--batch", "300", "--workers", "3", "--policy", "first",
                         "--optimizer", "adam", "--slow-worker", "100", "--kill-shard", "60", "--chart",
                         folder_.File("chart")});
  ASSERT_EQ(run.exit_code(), 0) << run.output();
  EXPECT_GT(run.accuracy(), 0.7) << run.output();
  EXPECT_TRUE(run.Says("shard 0, process ")) << run.output();
  EXPECT_TRUE(run.Says("; restarts: 1, steps lost: ")) << run.output();
  EXPECT_GT(Figure(run, " applied, "), 0) << run.output();
  for (const char* file : {"chart.csv", "chart.svg", "chart-2.svg", "chart-3.svg"})
    EXPECT_GT(fs::file_size(folder_.File(file)), 100U) << file;
  EXPECT_EQ(run.Left(), "");
}

}  // namespace
}  // namespace raylet::test
