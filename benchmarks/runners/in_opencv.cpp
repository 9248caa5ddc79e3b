// in_opencv MODEL PIXELS ANSWER SIZE...    Runs the model in OpenCV's dnn, from C++.

#include <algorithm>
#include <fstream>
#include <iterator>
#include <opencv2/dnn.hpp>
#include <string>
#include <vector>

int main(int, char** arguments) {
    cv::dnn::Net net = cv::dnn::readNetFromONNX(arguments[1]);
    std::ifstream file(arguments[2], std::ios::binary);
    std::vector<char> pixels{std::istreambuf_iterator<char>(file), {}};
    std::ofstream answer(arguments[3], std::ios::binary);
    answer << CV_VERSION << "\n";
    for (char** size = arguments + 4; *size; ++size) {
        std::string collected[2];
        int batch = std::stoi(*size), count = static_cast<int>(pixels.size() / 784);
        for (int start = 0; start < count; start += batch) {
            int shape[] = {std::min(batch, count - start), 1, 28, 28};
            net.setInput(cv::Mat(4, shape, CV_8U, pixels.data() + start * 784), "image");
            std::vector<cv::Mat> outputs;
            net.forward(outputs, std::vector<cv::String>{"logits", "probabilities"});
            for (int i : {0, 1})
                collected[i].append(outputs[i].ptr<char>(), outputs[i].total() * outputs[i].elemSize());
        }
        answer << collected[0] << collected[1];
    }
}
