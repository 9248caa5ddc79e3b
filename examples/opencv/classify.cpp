// Says which class each picture belongs to, with OpenCV's modules core and dnn.
//
//     classify MODEL PICTURE...
//
// OpenCV cannot read a model's metadata: model.json beside model.onnx says the same. A picture is a binary PGM of the
// model's size, white ink on black; with OpenCV's module imgcodecs, cv::imread reads other formats. Exit codes: 0 done,
// 1 a file could not be read, 2 wrong usage.

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <opencv2/dnn.hpp>
#include <stdexcept>
#include <string>

cv::Mat read_pgm(const std::string& path, int wanted_height, int wanted_width) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw std::runtime_error("cannot be opened");
    std::string kind;
    int width = 0, height = 0, white = 0;
    file >> kind >> width >> height >> white;
    if (!file || kind != "P5" || white != 255)
        throw std::runtime_error("no binary PGM with grey levels 0 to 255, or one with a comment");
    if (width != wanted_width || height != wanted_height)
        throw std::runtime_error(
            cv::format("%dx%d pixels; the model takes %dx%d", width, height, wanted_width, wanted_height));
    int shape[] = {1, 1, height, width};
    cv::Mat image(4, shape, CV_8U);
    file.ignore();  // the one white-space after the header
    if (!file.read(image.ptr<char>(), image.total())) throw std::runtime_error("the file is cut short");
    return image;
}

void print_answer(cv::dnn::Net& net, const cv::FileStorage& description, const std::string& path) {
    const cv::FileNode size = description["preprocessing"]["size"];
    net.setInput(read_pgm(path, size[0], size[1]), "image");
    double probability;
    int place[2];
    cv::minMaxIdx(net.forward("probabilities"), nullptr, &probability, nullptr, place);
    double confidence_threshold = description["confidence_threshold"];
    bool sure = net.forward("digit").at<float>(0) * probability >= confidence_threshold;
    std::string label = description["labels"][place[1]];
    std::printf("%s: %s%s  %.4f\n", path.c_str(), sure ? "" : "not sure, perhaps ", label.c_str(), probability);
}

int main(int count, char** arguments) {
    if (count < 3) {
        std::fprintf(stderr, "usage: classify MODEL PICTURE...\n");
        return 2;
    }
    std::filesystem::path model = arguments[1], json = std::filesystem::path(model).replace_extension(".json");
    cv::dnn::Net net;
    cv::FileStorage description;
    try {
        for (const auto& path : {model, json})
            if (!std::ifstream(path)) throw std::runtime_error(path.string() + " cannot be opened");
        net = cv::dnn::readNetFromONNX(model);
        description.open(json, cv::FileStorage::READ);
    } catch (const cv::Exception& error) {
        std::fprintf(stderr, "classify: %s and its .json cannot be used: %s\n", arguments[1], error.err.c_str());
        return 1;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "classify: %s\n", error.what());
        return 1;
    }
    int exit_code = 0;
    for (int i = 2; i < count; ++i) {
        try {
            print_answer(net, description, arguments[i]);
        } catch (const std::exception& error) {
            std::fprintf(stderr, "classify: %s: %s\n", arguments[i], error.what());
            exit_code = 1;
        }
    }
    return exit_code;
}
