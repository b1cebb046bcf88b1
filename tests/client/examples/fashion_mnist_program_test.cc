// The errors and exit codes of the examples; they leave nothing behind.
#include <gtest/gtest.h>

#include <filesystem>
#include <regex>

#include "tests/client/examples/fashion_mnist_program.h"

namespace raylet::test {
namespace {

namespace fs = std::filesystem;

// A pair of daemons that outlives the program.
class TrainingOnDaemons : public ::testing::Test {
 protected:
  void StartDaemons(const std::string& memory) {
    auto store = DaemonProcess::Start("plasma_store", {"-m", memory, "-s", folder_.File("store")});
    ASSERT_TRUE(store) << store.error().message;
    store_.emplace(*std::move(store));
    auto raylet = DaemonProcess::Start(
        "raylet", {"--socket", raylet_socket(), "--store-socket", folder_.File("store"), "--num-cpus", "2"});
    ASSERT_TRUE(raylet) << raylet.error().message;
    raylet_.emplace(*std::move(raylet));
  }
  TrainingRun Train(std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--address", raylet_socket()});
    return TrainingRun(std::move(arguments));
  }
  std::string raylet_socket() const { return folder_.File("raylet"); }

  RunFolder folder_;
  std::optional<DaemonProcess> store_, raylet_;
};

TEST_F(TrainingOnDaemons, StoreTooSmallForTheModelSaysNeedFreeAndRemedy) {
  StartDaemons("46M");  // the images take 44.9 MiB, the steps of an MLP more than what is left
  const TrainingRun mlp = Train({"--epochs", "1"});
  EXPECT_EQ(mlp.exit_code(), 1) << mlp.output();
  EXPECT_TRUE(std::regex_search(mlp.output(),
                                std::regex("StoreFull: object [0-9a-f]+ needs [0-9]+ bytes; free [0-9]+ of [0-9]+, .*"
                                           "start plasma_store with a larger -m")))
      << mlp.output();
  EXPECT_EQ(mlp.Left(), "");
  // The daemons go on, and nothing of the failed run is in the way of one that fits.
  const TrainingRun softmax = Train({"--model", "softmax", "--epochs", "1", "--batch", "6000"});
  EXPECT_EQ(softmax.exit_code(), 0) << softmax.output();
  EXPECT_GT(softmax.accuracy(), 0.5);
  EXPECT_EQ(softmax.Left(), "");
}

TEST_F(TrainingOnDaemons, StoreTooSmallForTheImagesSaysSoAtOnce) {
  StartDaemons("8M");
  const TrainingRun run = Train({});
  EXPECT_EQ(run.exit_code(), 1);
  EXPECT_TRUE(std::regex_search(run.output(), std::regex("ObjectTooLarge: object [0-9a-f]+ wants 47040192 bytes .*"
                                                         "the store holds 8388608; .* larger -m")))
      << run.output();
  EXPECT_EQ(run.Left(), "");
}

TEST(FashionMnistProgram, MissingDataFilesNameThePackage) {
  const TrainingRun run({"--data", "/nowhere"});
  EXPECT_EQ(run.exit_code(), 1);
  EXPECT_TRUE(run.Says("/nowhere/train-images-idx3-ubyte.gz is missing")) << run.output();
  EXPECT_TRUE(run.Says("apt-get install dataset-fashion-mnist")) << run.output();
  EXPECT_EQ(run.Left(), "");
}

TEST(FashionMnistProgram, ACorruptDataFileIsNamedWithTheOffset) {
  const RunFolder folder;
  for (const auto& entry : fs::directory_iterator(kFashionMnistFolder)) fs::copy(entry, folder.path());
  const std::string labels = folder.File("train-labels-idx1-ubyte.gz");
  fs::resize_file(labels, fs::file_size(labels) / 2);
  const TrainingRun run({"--data", folder.path()});
  EXPECT_EQ(run.exit_code(), 1);
  EXPECT_TRUE(std::regex_search(run.output(), std::regex(labels + " is corrupt at offset [1-9][0-9]+ of its")))
      << run.output();
  EXPECT_TRUE(run.Says("apt-get install --reinstall dataset-fashion-mnist")) << run.output();
  EXPECT_EQ(run.Left(), "");
}

TEST(FashionMnistProgram, NoRayletAtTheAddressNamesTheCommandThatStartsIt) {
  const RunFolder folder;
  const std::string address = folder.File("raylet");
  const std::string command = "`raylet --socket " + address + " --store-socket STORE_SOCKET`";
  for (const TrainingRun& run :
       {TrainingRun({"--address", address}), TrainingRun({}, "fashion_mnist", {{"RAY_ADDRESS", address}}),
        TrainingRun({}, "parameter_server", {{"RAY_ADDRESS", address}}),
        TrainingRun({"--ray_address=" + address}, "parameter_server")}) {
    EXPECT_EQ(run.exit_code(), 3) << run.output();
    EXPECT_TRUE(run.Says(command)) << run.output();
    EXPECT_EQ(run.Left(), "");
  }
}

TEST(FashionMnistProgram, OptionsThatMakeNoSenseEndAtOnce) {
  const TrainingRun run({"--epochs", "-1"});
  EXPECT_EQ(run.exit_code(), 2);
  EXPECT_EQ(run.output(), "fashion_mnist: --epochs takes a whole number from 1 to 1000000, not '-1'\n");
  const TrainingRun help({"--help"});
  EXPECT_EQ(help.exit_code(), 0);
  EXPECT_TRUE(help.Says("--shards N")) << help.output();
}

TEST(FashionMnistProgram, ALogThatCannotBeWrittenIsNamed) {
  const TrainingRun run({"--log", "/nowhere/log"});
  EXPECT_EQ(run.exit_code(), 1);
  EXPECT_TRUE(run.Says("the log /nowhere/log cannot be written: No such file")) << run.output();
  EXPECT_EQ(run.Left(), "");
}

// In every build, under the sanitizers too: the whole program, two servers, two workers.
TEST(FashionMnistProgram, OneEpochEqualsOneProcessBitForBit) {
  const TrainingRun run({"--model", "softmax", "--epochs", "1", "--batch", "600", "--compare"});
  EXPECT_EQ(run.exit_code(), 0);
  EXPECT_TRUE(run.Says("parameters equal those of a single process bit for bit")) << run.output();
  EXPECT_EQ(run.Left(), "");
}

}  // namespace
}  // namespace raylet::test
