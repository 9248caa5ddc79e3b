import java.io.ByteArrayInputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;

/** Asks the service with Java's own client, which offers to upgrade to HTTP/2 each time, and prints the statuses. */
class Predict {
  static final HttpClient CLIENT = HttpClient.newHttpClient();

  static void post(String url, BodyPublisher body) throws Exception {
    var request = HttpRequest.newBuilder(URI.create(url)).header("Content-Type", "application/json").POST(body);
    System.out.println(CLIENT.send(request.build(), BodyHandlers.ofString()).statusCode());
  }

  public static void main(String[] arguments) throws Exception {
    var pixels = "[" + "0,".repeat(783) + "0]";
    var image = "{\"image\": " + pixels + "}";
    var tensor = "{\"name\": \"image\", \"shape\": [1, 1, 28, 28], \"datatype\": \"UINT8\", \"data\": " + pixels + "}";
    for (int time = 0; time < 3; time++) {
      post(arguments[0] + "/predict", BodyPublishers.ofString(image));
      post(arguments[0] + "/predict", BodyPublishers.ofInputStream(() -> new ByteArrayInputStream(image.getBytes())));
      post(arguments[0] + "/v2/models/mnist/infer", BodyPublishers.ofString("{\"inputs\": [" + tensor + "]}"));
    }
  }
}
