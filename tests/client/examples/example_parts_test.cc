// The parts that the examples on real data share: readers, pictures, options.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <sstream>

#include "parts/chart.h"
#include "parts/debian_packages.h"
#include "parts/program.h"
#include "parts/ratings.h"
#include "parts/words.h"

namespace example {
namespace {

TEST(DebianPackages, NamesOfDependenciesComeWithoutVersionsAndAlternatives) {
  std::istringstream in(
      "Package: game\nDescription: A game of words\nDepends: libc6 (>= 2.34), perl:any | ruby, libc6 (<< 3)\n"
      "Pre-Depends: dpkg\n continued\n\n"
      "Package: game\nDescription: An older version\n\n"
      "Package: data");
  const auto packages = ParsePackages(in);
  ASSERT_EQ(packages.size(), 2U);
  EXPECT_EQ(packages[0].name, "game");
  EXPECT_EQ(packages[0].description, "A game of words");
  EXPECT_EQ(packages[0].depends, (std::vector<std::string>{"libc6", "perl", "dpkg"}));
  EXPECT_EQ(packages[1].name, "data");
  EXPECT_TRUE(packages[1].depends.empty());
}

TEST(DebianPackages, AFileWithoutPackagesSaysWhatItTakes) {
  try {
    ReadPackages("/dev/null");
    FAIL();
  } catch (const std::runtime_error& e) {
    EXPECT_STREQ(e.what(), "the file /dev/null has no packages: it takes what `apt-cache dumpavail` prints");
  }
}

TEST(Words, AreSmallLettersWithoutWhatSeparatesThem) {
  EXPECT_EQ(WordsOf("Don't PAY $99, a re-read (of) Caf\xc3\xa9!"),
            (std::vector<std::string>{"don't", "pay", "$99", "re-read", "of", "caf"}));
  EXPECT_TRUE(WordsOf(std::string(26, 'x')).empty());
}

TEST(Words, OfAMailAreThoseOfItsSubjectAndBodyEachOnce) {
  EXPECT_EQ(WordsOfMail("From: someone\nSubject: Free money\nTo: nobody\n\nfree free text\n\nSubject: quoted"),
            (std::vector<std::string>{"free", "quoted", "subject", "subject:free", "subject:money", "text"}));
  EXPECT_TRUE(WordsOfMail("").empty());
}

std::vector<Package> PackagesWithLikes() {
  std::vector<Package> packages;
  for (int i = 0; i < 100; ++i)
    packages.push_back({"user" + std::to_string(i), "", {"a", "b", "c", "only" + std::to_string(i)}});
  return packages;
}

TEST(Ratings, EachLikeIsTrainedOnOrHeldOutAndRareItemsAreLeftOut) {
  const Ratings ratings = RatingsOf(PackagesWithLikes(), 5, 1);
  EXPECT_EQ(ratings.users.size(), 100U);
  EXPECT_EQ(ratings.items, (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(ratings.held_out.size(), 20U);
  std::set<Ratings::Pair> all(ratings.train.begin(), ratings.train.end());
  all.insert(ratings.held_out.begin(), ratings.held_out.end());
  EXPECT_EQ(all.size(), 300U);
  EXPECT_EQ(ratings.train.size(), 280U);
  EXPECT_EQ(RatingsOf(PackagesWithLikes(), 5, 1).held_out, ratings.held_out);
  EXPECT_NE(RatingsOf(PackagesWithLikes(), 5, 2).held_out, ratings.held_out);
}

TEST(Ratings, OfMovieLensCountFromFourOnAndABadLineIsNamed) {
  std::string csv = "userId,movieId,rating,timestamp\n";
  for (int user = 1; user <= 10; ++user)
    for (int movie = 1; movie <= 4; ++movie)
      csv += std::to_string(user) + "," + std::to_string(movie) + "," + (movie == 4 ? "3.5" : "4.0") + ",964982703\n";
  std::istringstream in(csv);
  const Ratings ratings = RatingsOfMovieLens(in, 1, 1);
  EXPECT_EQ(ratings.items, (std::vector<std::string>{"1", "2", "3"}));
  EXPECT_EQ(ratings.train.size() + ratings.held_out.size(), 30U);
  std::istringstream bad("userId,movieId,rating,timestamp\n1,2,good,3\n");
  try {
    RatingsOfMovieLens(bad, 1, 1);
    FAIL();
  } catch (const std::runtime_error& e) {
    EXPECT_STREQ(e.what(),
                 "line 2 of the ratings is '1,2,good,3': it takes a user, a movie and a rating, with commas "
                 "between them");
  }
}

TEST(Chart, HasALineForEachSeriesWithinItsFrame) {
  const Chart chart{"Loss & more", "s", "loss", {{"one", {{0, 1}, {10, 0.5}}}, {"two", {{0, 2}}}}};
  const std::string svg = SvgOf(chart);
  EXPECT_NE(svg.find("Loss &amp; more"), std::string::npos);
  EXPECT_NE(svg.find("points=\"70,"), std::string::npos) << svg;
  EXPECT_NE(svg.find(" 700,"), std::string::npos) << svg;
  size_t lines = 0;
  for (size_t at = 0; (at = svg.find("<polyline", at)) != std::string::npos; ++at) ++lines;
  EXPECT_EQ(lines, 2U);
  EXPECT_EQ(CsvOf({chart}),
            "chart,line,x,y\n\"Loss & more\",\"one\",0,1\n\"Loss & more\",\"one\",10,0.5\n"
            "\"Loss & more\",\"two\",0,2\n");
}

TEST(Chart, BarsStandOnZeroAndNoPointsAreAnEmptyFrame) {
  const std::string svg = SvgOf({"Staleness", "steps", "gradients", {{"all", {{0, 8}, {1, 4}}}}, true});
  size_t bars = 0;
  for (size_t at = 0; (at = svg.find("fill=\"#1f77b4\"/>", at)) != std::string::npos; ++at) ++bars;
  EXPECT_EQ(bars, 2U) << svg;
  EXPECT_EQ(SvgOf({"Empty", "x", "y", {{"none", {}}}}).find("nan"), std::string::npos);
}

TEST(ProgramOptions, NonsenseNamesTheOptionAndWhatItTakes) {
  const std::vector<Option> known = {{"--epochs", "5", ""}, {"--rate", "0.5", ""}};
  const auto message = [&](const std::vector<std::string>& arguments) -> std::string {
    try {
      const Options options(known, arguments);
      options.Whole("--epochs", 1, 9);
      options.Real("--rate", 0, 1);
      return "fine";
    } catch (const UsageError& e) {
      return e.what();
    }
  };
  EXPECT_EQ(message({}), "fine");
  EXPECT_EQ(message({"--epochs", "9", "--rate", "1"}), "fine");
  EXPECT_EQ(message({"--epochs", "10"}), "--epochs takes a whole number from 1 to 9, not '10'");
  EXPECT_EQ(message({"--rate", "nan"}), "--rate takes a number from 0 to 1, not 'nan'");
  EXPECT_EQ(message({"--epoch", "1"}), "there is no option '--epoch'; --help lists those there are");
  EXPECT_EQ(message({"--epochs"}), "'--epochs' stands without a value");
}

}  // namespace
}  // namespace example
